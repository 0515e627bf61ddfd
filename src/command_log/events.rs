//! Process events of the kernel (netlink connector, `CONFIG_PROC_EVENTS`): fork, exec and exit
//! of every process.
//!
//! [`Events::open`] receives all of them, [`Events::of_execs_on`] the execs of one processor.
//!
//! # Invariants
//! - Events that the kernel dropped are reported as [`Event::Lost`].
//! - Only messages of the kernel count; other senders of the group are ignored.
//!
//! # Not here
//! - The session of a process: [`super::process_tree`].

use crate::limits;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::calls::{Filter, filter_messages};
use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};

/// The connector's number for process events (`CN_IDX_PROC`, linux/connector.h), also its multicast
/// group.
const CN_IDX_PROC: u32 = 1;
/// "Send me events" (`PROC_CN_MCAST_LISTEN`, linux/cn_proc.h).
const LISTEN: u32 = 1;
/// Length of `struct nlmsghdr`.
const NLMSG: usize = 16;
/// Length of `struct cn_msg`.
const CN_MSG: usize = 20;
/// Where the union of `struct proc_event` begins in it: behind what, CPU and time.
const UNION: usize = 16;
/// `PROC_EVENT_NONE`: the answer to a request.
const NOTHING: u32 = 0;
/// `PROC_EVENT_FORK`, `PROC_EVENT_EXEC`, `PROC_EVENT_EXIT`.
const FORK: u32 = 0x1;
/// See [`FORK`].
const EXEC: u32 = 0x2;
/// See [`FORK`].
const EXIT: u32 = 0x8000_0000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process began.
    Fork {
        /// Who made it.
        parent: u32,
        /// The new one.
        child: u32,
    },
    /// A process became another program.
    Exec {
        /// Which process.
        pid: u32,
    },
    /// A process ended.
    Exit {
        /// Which process.
        pid: u32,
        /// As `wait` would say it: signal in the low seven bits, exit code in the second byte.
        status: u32,
    },
    /// The kernel's buffer was full: events before this one are missing.
    Lost,
}

/// An event with its circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When, nanoseconds of the monotonic clock; 0 for [`Event::Lost`].
    pub at: u64,
    /// On which processor.
    pub cpu: u32,
    /// What.
    pub event: Event,
}

/// The kernel's events, as they come.
#[derive(Debug)]
pub struct Events {
    socket: OwnedFd,
}

impl Events {
    /// Asks the kernel for its events. Needs `CAP_NET_ADMIN` in the first namespaces.
    ///
    /// # Errors
    /// The kernel's; or that it did not answer, as in a container or where it was built without.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(CONNECTOR))?;
        // Where forcing is not allowed the kernel's usual size has to do: more gaps, no failure.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, limits::LOG_KERNEL_BUFFER);
        bind(&socket, &SocketAddrNetlink::new(0, CN_IDX_PROC))?;
        let events = Self { socket };
        // Kernels from 6.6 on leave out what is not wanted; older ones do not answer to that form.
        for wanted in [Some(FORK | EXEC | EXIT), None] {
            send(&events.socket, &listen_message(wanted), SendFlags::empty())?;
            if events.is_heard()? {
                return Ok(events);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the kernel does not answer: it has no process events, or this is a container",
        ))
    }

    /// As [`Self::open`], but only execs, and only those on this processor: nobody is woken for any
    /// other.
    ///
    /// # Errors
    /// As [`Self::open`]; or the kernel takes no filter.
    pub fn of_execs_on(cpu: u32) -> io::Result<Self> {
        let events = Self::open()?;
        let event = (NLMSG + CN_MSG) as u32;
        // A filter reads numbers with the highest byte first, the message has them as this machine
        // does.
        filter_messages(
            events.socket.as_fd(),
            &[
                Filter::Load { at: event },
                Filter::Want { value: EXEC.to_be() },
                Filter::Load { at: event + 4 },
                Filter::Want { value: cpu.to_be() },
            ],
        )?;
        Ok(events)
    }

    /// The kernel answers before the request returns. Where it will send nothing, it does not
    /// answer.
    fn is_heard(&self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        for _ in 0..limits::LOG_KERNEL_ANSWER {
            match recv(&self.socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => match answer(buffer.get(..length).unwrap_or_default()) {
                    Some(0) => return Ok(true),
                    Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    None => {} // an event for an earlier listener
                },
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// What has happened since, up to a buffer full; nothing when nothing has.
    ///
    /// # Errors
    /// The kernel's; the events are then over.
    pub fn read(&self, mut each: impl FnMut(Told)) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match recv(&self.socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    if let Some(told) = parse(buffer.get(..length).unwrap_or_default()) {
                        each(told);
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::NOBUFS) => each(Told { at: 0, cpu: 0, event: Event::Lost }),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// "Send me events", and only these kinds where the kernel can choose.
fn listen_message(wanted: Option<u32>) -> Vec<u8> {
    let body = if wanted.is_some() { 8_u16 } else { 4 };
    let length = (NLMSG + CN_MSG) as u32 + u32::from(body);
    let mut message = Vec::with_capacity(length as usize);
    message.extend(length.to_ne_bytes());
    message.extend(3_u16.to_ne_bytes()); // NLMSG_DONE
    message.extend([0; 10]); // flags, sequence, port: the kernel knows the sender
    for word in [CN_IDX_PROC, 1, 0, 0] {
        message.extend(word.to_ne_bytes()); // CN_VAL_PROC is 1; sequence and ack do not matter
    }
    message.extend(body.to_ne_bytes());
    message.extend(0_u16.to_ne_bytes());
    message.extend(LISTEN.to_ne_bytes());
    message.extend(wanted.map(u32::to_ne_bytes).into_iter().flatten());
    message
}

/// The error number in the kernel's answer to [`listen_message`]; `None` for anything else.
fn answer(message: &[u8]) -> Option<i32> {
    let word = |at: usize| Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?));
    let event = NLMSG + CN_MSG;
    let is_answer = word(NLMSG)? == CN_IDX_PROC && word(event)? == NOTHING;
    is_answer.then(|| word(event + UNION)).flatten().map(u32::cast_signed)
}

fn parse(message: &[u8]) -> Option<Told> {
    let word = |at: usize| Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?));
    if word(NLMSG)? != CN_IDX_PROC {
        return None;
    }
    let event = NLMSG + CN_MSG;
    let member = |n: usize| word(event + UNION + 4 * n);
    let at = u64::from_ne_bytes(message.get(event + 8..event + 16)?.try_into().ok()?);
    let what = match word(event)? {
        // Parent's thread and process, child's thread and process. A new thread is no process.
        FORK if member(2)? == member(3)? => Event::Fork { parent: member(1)?, child: member(3)? },
        EXEC => Event::Exec { pid: member(1)? },
        EXIT if member(0)? == member(1)? => Event::Exit { pid: member(1)?, status: member(2)? },
        _ => return None,
    };
    Some(Told { at, cpu: word(event + 4)?, event: what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, members: [u32; 4]) -> Vec<u8> {
        let mut bytes = vec![0; NLMSG];
        bytes.extend(CN_IDX_PROC.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes.extend(what.to_ne_bytes());
        bytes.extend(3_u32.to_ne_bytes());
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(members.iter().flat_map(|member| member.to_ne_bytes()));
        bytes
    }

    #[test]
    fn an_event_says_when_and_where_it_was() {
        let told = parse(&message(EXEC, [7, 6, 0, 0])).unwrap();
        assert_eq!((told.at, told.cpu), (5, 3));
    }

    #[test]
    fn processes_count_and_threads_do_not() {
        let parse = |message: &[u8]| super::parse(message).map(|told| told.event);
        assert_eq!(parse(&message(FORK, [9, 8, 7, 7])), Some(Event::Fork { parent: 8, child: 7 }));
        assert_eq!(parse(&message(FORK, [9, 8, 7, 8])), None);
        assert_eq!(parse(&message(EXEC, [7, 6, 0, 0])), Some(Event::Exec { pid: 6 }));
        assert_eq!(
            parse(&message(EXIT, [7, 7, 256, 0])),
            Some(Event::Exit { pid: 7, status: 256 })
        );
        assert_eq!(parse(&message(EXIT, [8, 7, 0, 0])), None);
    }

    #[test]
    fn what_is_short_or_unknown_is_passed_over() {
        let whole = message(EXEC, [1, 1, 0, 0]);
        for cut in 0..NLMSG + CN_MSG + UNION {
            assert_eq!(parse(&whole[..cut]), None);
        }
        assert_eq!(parse(&message(0, [0; 4])), None);
    }
}
