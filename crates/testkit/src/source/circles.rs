//! Circles in a graph: its strongly connected components, and a short way round one.
//!
//! # Invariants
//! - Components come largest first, each with its files in order.

use std::collections::VecDeque;

use super::graph::Graph;

/// Components of two files or more, largest first.
#[must_use]
pub fn components(graph: &Graph) -> Vec<Vec<usize>> {
    let count = graph.names.len();
    let mut next = vec![Vec::new(); count];
    let mut previous = vec![Vec::new(); count];
    for edge in &graph.edges {
        next[edge.from].push(edge.to);
        previous[edge.to].push(edge.from);
    }
    // Kosaraju: the order in which a walk leaves the nodes, then walks backwards in that order.
    let mut seen = vec![false; count];
    let mut left = Vec::with_capacity(count);
    for start in 0..count {
        leave_order(start, &next, &mut seen, &mut left);
    }
    let mut seen = vec![false; count];
    let mut found = Vec::new();
    for start in left.into_iter().rev() {
        let mut component = Vec::new();
        leave_order(start, &previous, &mut seen, &mut component);
        if component.len() > 1 {
            component.sort_unstable();
            found.push(component);
        }
    }
    found.sort_by_key(|component| (std::cmp::Reverse(component.len()), component.first().copied()));
    found
}

/// Walks depth first from `start`, and appends each node when all behind it is done.
fn leave_order(start: usize, next: &[Vec<usize>], seen: &mut [bool], left: &mut Vec<usize>) {
    if seen[start] {
        return;
    }
    seen[start] = true;
    let mut stack = vec![(start, 0)];
    while let Some((node, child)) = stack.pop() {
        match next[node].get(child) {
            Some(to) => {
                stack.push((node, child + 1));
                if !seen[*to] {
                    seen[*to] = true;
                    stack.push((*to, 0));
                }
            }
            None => left.push(node),
        }
    }
}

/// The shortest circle among these files, one sentence for each edge: the line, the file that
/// names, the file that is named.
#[must_use]
pub fn shortest(graph: &Graph, component: &[usize]) -> Vec<String> {
    let rounds = component.iter().filter_map(|start| round(graph, component, *start));
    let best = rounds.min_by_key(Vec::len).unwrap_or_default();
    let sentence = |at: &usize| {
        let edge = &graph.edges[*at];
        let (from, to) = (&graph.names[edge.from], &graph.names[edge.to]);
        format!("{from}:{} names {to} (`{}`)", edge.line, edge.path)
    };
    best.iter().map(sentence).collect()
}

/// The edges of the shortest way from a file back to itself inside its component.
fn round(graph: &Graph, component: &[usize], start: usize) -> Option<Vec<usize>> {
    let mut came_by: Vec<Option<usize>> = vec![None; graph.names.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for (at, edge) in graph.edges.iter().enumerate().filter(|(_, edge)| edge.from == node) {
            if came_by[edge.to].is_some() || !component.contains(&edge.to) {
                continue;
            }
            came_by[edge.to] = Some(at);
            if edge.to == start {
                return Some(way_back(graph, &came_by, start));
            }
            queue.push_back(edge.to);
        }
    }
    None
}

fn way_back(graph: &Graph, came_by: &[Option<usize>], start: usize) -> Vec<usize> {
    let mut way = Vec::new();
    let mut node = start;
    while let Some(at) = came_by[node] {
        way.push(at);
        node = graph.edges[at].from;
        if node == start {
            break;
        }
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Graph {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Graph::of(&files.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn a_circle_is_found_and_named() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use super::c::C; pub struct B;"),
            ("c.rs", "pub struct C(crate::a::A);"),
            ("d.rs", "use crate::a::A;"),
        ]);
        let found = components(&graph);
        assert_eq!(found, [vec![1, 2, 3]]);
        let sentences = [
            "a.rs:1 names b.rs (`crate::b::B`)",
            "b.rs:1 names c.rs (`super::c::C`)",
            "c.rs:1 names a.rs (`crate::a::A`)",
        ];
        assert_eq!(shortest(&graph, &found[0]), sentences);
    }

    #[test]
    fn a_chain_is_no_circle() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        ]);
        assert!(components(&graph).is_empty());
    }
}
