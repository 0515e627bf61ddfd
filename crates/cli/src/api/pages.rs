//! Lists that come in pages, read to their end.
//!
//! # Invariants
//! - At most [`MAX_PAGES`] requests. A list that goes on behind them is an error, not a short list.
//!
//! # Not here
//! - What is searched rather than listed, where a page may be empty and the next one not:
//!   `commands::recordings`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use towline_ssm::Operation;
use towline_ssm::api::access::{
    AccessRequest, ListAccessRequestsRequest, ListAccessRequestsResult,
};
use towline_ssm::api::activation::{
    Activation, DescribeActivationsRequest, DescribeActivationsResult,
};
use towline_ssm::api::admin::{ListPrincipalsRequest, ListPrincipalsResult, Principal};
use towline_ssm::api::command::{
    CommandInvocation, ListCommandInvocationsRequest, ListCommandInvocationsResult,
};
use towline_ssm::api::device::{
    DescribeInstanceInformationRequest, DescribeInstanceInformationResult, InstanceInformation,
};
use towline_ssm::api::device_search::{SearchDevicesRequest, SearchDevicesResult};
use towline_ssm::api::evidence::{
    ListSessionCommandsRequest, ListSessionCommandsResponse, SessionCommand,
};
use towline_ssm::api::session::{DescribeSessionsRequest, DescribeSessionsResponse, Session};

use super::client::Client;
use super::error::CallError;
use crate::limits::MAX_PAGES;

/// A request whose answer comes in pages.
pub(crate) trait Paged: Serialize {
    /// What it asks for.
    const OPERATION: Operation;
    /// An answer.
    type Page: DeserializeOwned;
    /// What the list is of.
    type Item;

    /// Asks for the page behind this token.
    fn go_on(&mut self, token: String);

    /// What stands on a page, and the token of the next one.
    fn open(page: Self::Page) -> (Vec<Self::Item>, Option<String>);
}

macro_rules! paged {
    ($($request:ident -> $page:ident { $items:ident: $item:ident } by $operation:ident;)+) => {$(
        impl Paged for $request {
            const OPERATION: Operation = Operation::$operation;
            type Page = $page;
            type Item = $item;

            fn go_on(&mut self, token: String) {
                self.next_token = Some(token);
            }

            fn open(page: $page) -> (Vec<$item>, Option<String>) {
                (page.$items, page.next_token)
            }
        }
    )+};
}

paged! {
    DescribeActivationsRequest -> DescribeActivationsResult { activation_list: Activation } by DescribeActivations;
    DescribeInstanceInformationRequest -> DescribeInstanceInformationResult { instance_information_list: InstanceInformation }
        by DescribeInstanceInformation;
    DescribeSessionsRequest -> DescribeSessionsResponse { sessions: Session } by DescribeSessions;
    ListAccessRequestsRequest -> ListAccessRequestsResult { access_requests: AccessRequest } by ListAccessRequests;
    ListCommandInvocationsRequest -> ListCommandInvocationsResult { command_invocations: CommandInvocation }
        by ListCommandInvocations;
    ListPrincipalsRequest -> ListPrincipalsResult { principals: Principal } by ListPrincipals;
    SearchDevicesRequest -> SearchDevicesResult { instance_information_list: InstanceInformation } by SearchDevices;
    ListSessionCommandsRequest -> ListSessionCommandsResponse { commands: SessionCommand } by ListSessionCommands;
}

impl Client {
    /// A whole list.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn list<R: Paged>(&mut self, request: R) -> Result<Vec<R::Item>, CallError> {
        self.list_most(request, usize::MAX).await
    }

    /// The first so many of a list.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn list_most<R: Paged>(
        &mut self,
        request: R,
        most: usize,
    ) -> Result<Vec<R::Item>, CallError> {
        gather(request, most, async |request| self.call(R::OPERATION, request).await).await
    }
}

async fn gather<R: Paged>(
    mut request: R,
    most: usize,
    mut ask: impl AsyncFnMut(&R) -> Result<R::Page, CallError>,
) -> Result<Vec<R::Item>, CallError> {
    let mut all = Vec::new();
    for _ in 0..MAX_PAGES {
        let (items, next) = R::open(ask(&request).await?);
        all.extend(items);
        match next.filter(|_| all.len() < most) {
            Some(token) => request.go_on(token),
            None => {
                all.truncate(most);
                return Ok(all);
            }
        }
    }
    Err(CallError::Endless { pages: MAX_PAGES })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records, `of` of them, two on a page; what was asked for is `asked`.
    async fn list(
        of: usize,
        most: usize,
        asked: &mut Vec<Option<String>>,
    ) -> Result<usize, CallError> {
        let ask = async |request: &ListSessionCommandsRequest| {
            asked.push(request.next_token.clone());
            let left = of.saturating_sub(2 * (asked.len() - 1));
            Ok(ListSessionCommandsResponse {
                commands: vec![SessionCommand::default(); left.min(2)],
                next_token: (left > 2).then(|| asked.len().to_string()),
            })
        };
        let request = ListSessionCommandsRequest {
            session_id: "ann-1".into(),
            max_results: None,
            next_token: None,
        };
        gather(request, most, ask).await.map(|all| all.len())
    }

    #[tokio::test]
    async fn each_page_is_asked_for_by_the_token_of_the_one_before() {
        let mut asked = Vec::new();
        assert_eq!(list(5, usize::MAX, &mut asked).await.unwrap(), 5);
        assert_eq!(asked, [None, Some("1".to_owned()), Some("2".to_owned())]);
    }

    #[tokio::test]
    async fn no_more_is_asked_for_than_is_wanted() {
        let mut asked = Vec::new();
        assert_eq!(list(50, 3, &mut asked).await.unwrap(), 3);
        assert_eq!(asked.len(), 2);
    }

    #[tokio::test]
    async fn a_list_without_an_end_is_an_error_and_not_a_short_list() {
        let mut asked = Vec::new();
        let error = list(usize::MAX, usize::MAX, &mut asked).await.unwrap_err();
        assert!(matches!(error, CallError::Endless { .. }), "{error}");
        assert_eq!(asked.len(), MAX_PAGES);
    }
}
