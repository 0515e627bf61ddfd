//! Reports of the kernel that make a further wait pointless: an address or route appeared, or
//! the clock was set.
//!
//! Two descriptors and no polling: a netlink socket (addresses and routes), and a timer that
//! never expires but is cancelled when the clock is set. Without them the agent works, and waits
//! longer.

use crate::logger;
use crate::sys::watch;
use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
};
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// An address or a route came or went.
    Network,
    /// The clock was set.
    Clock,
}

/// RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE of
/// linux/rtnetlink.h.
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;

/// The sources of news.
#[derive(Debug, Default)]
pub struct Network {
    routes: Option<AsyncFd<OwnedFd>>,
    clock: Option<AsyncFd<OwnedFd>>,
}

impl Network {
    /// Opens what the kernel offers.
    #[must_use]
    pub fn watch() -> Self {
        let said = |what, error: &dyn std::fmt::Display| {
            logger::debug!("this kernel does not report {what}: {error}")
        };
        let open = |source: nix::Result<OwnedFd>, what| match source
            .map_err(std::io::Error::from)
            .and_then(watch)
        {
            Ok(fd) => Some(fd),
            Err(error) => {
                said(what, &error);
                None
            }
        };
        Self { routes: open(open_routes(), "networks"), clock: open(open_clock(), "clock changes") }
    }

    /// Ready with the next news; poll again for more.
    pub fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        if let Some(Poll::Ready(news)) = self.routes.as_ref().map(|fd| poll_routes(fd, cx)) {
            return Poll::Ready(news);
        }
        match self.clock.as_ref().map(|fd| poll_clock(fd, cx)) {
            Some(Poll::Ready(())) => {
                // A cancelled timer has to be set again to hear of the next change.
                self.clock = open_clock().ok().and_then(|fd| watch(fd).ok());
                Poll::Ready(News::Clock)
            }
            _ => Poll::Pending,
        }
    }
}

fn open_routes() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd =
        socket::socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(fd)
}

/// Takes all that is there; one change causes many messages.
fn poll_routes(fd: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<News> {
    let mut any = false;
    loop {
        let Ok(mut guard) = ready!(fd.poll_read_ready(cx)) else { return Poll::Pending };
        let mut buffer = [0; 4096];
        match socket::recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Poll::Pending,
            Ok(_) | Err(Errno::ENOBUFS) => any = true,
            Err(_) => {
                guard.clear_ready();
                if any {
                    return Poll::Ready(News::Network);
                }
            }
        }
    }
}

fn open_clock() -> nix::Result<OwnedFd> {
    let timer =
        TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
    let never = TimeSpec::seconds(i64::from(i32::MAX));
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    timer.set(Expiration::OneShot(never), flags)?;
    Ok(timer.into())
}

fn poll_clock(fd: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let Ok(mut guard) = ready!(fd.poll_read_ready(cx)) else { return Poll::Pending };
        match nix::unistd::read(fd.get_ref(), &mut [0; 8]) {
            Err(Errno::EAGAIN) => guard.clear_ready(),
            // Cancelled by a change; or due, on a clock beyond 2038, which was news too.
            _ => return Poll::Ready(()),
        }
    }
}
