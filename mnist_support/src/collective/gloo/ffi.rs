//! The calls into the C++ bridge (`native/gloo/bridge.h`), with all unsafe code of the collectives.

use std::{
    ffi::{CString, c_char, c_int},
    net::TcpListener,
    os::fd::IntoRawFd,
    ptr,
    time::Duration,
};

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use crate::native::{check, take_text};

#[repr(C)]
struct RawStore {
    _opaque: [u8; 0],
}

#[repr(C)]
struct RawGroup {
    _opaque: [u8; 0],
}

#[repr(C)]
struct RawTransfer {
    peer: i32,
    send: *const C_tensor,
    receive: *mut C_tensor,
}

unsafe extern "C" {
    fn mnist_gloo_store_open(
        host: *const c_char,
        port: u16,
        listen_fd: c_int,
        timeout_ms: i64,
        store: *mut *mut RawStore,
    ) -> *mut c_char;
    fn mnist_gloo_store_set(
        store: *mut RawStore,
        key: *const c_char,
        value: *const c_char,
    ) -> *mut c_char;
    fn mnist_gloo_store_get(
        store: *mut RawStore,
        key: *const c_char,
        value: *mut *mut c_char,
    ) -> *mut c_char;
    fn mnist_gloo_store_close(store: *mut RawStore);
    fn mnist_gloo_group_open(
        store: *mut RawStore,
        prefix: *const c_char,
        rank: i32,
        world_size: i32,
        bind_to: *const c_char,
        bind_to_interface: bool,
        timeout_ms: i64,
        group: *mut *mut RawGroup,
    ) -> *mut c_char;
    fn mnist_gloo_exchange(
        group: *mut RawGroup,
        transfers: *const RawTransfer,
        length: usize,
        tag: u32,
        timeout_ms: i64,
        peer: *mut i32,
    ) -> *mut c_char;
    fn mnist_gloo_group_close(group: *mut RawGroup);
}

/// A client of a `TCPStore`, and in the rank that hosts it also the server.
#[derive(Debug)]
pub(super) struct Store(*mut RawStore);

// SAFETY: c10d's stores are not bound to a thread. A Store has one owner and is not Sync, so its
// methods are called from one thread at a time.
unsafe impl Send for Store {}

impl Store {
    /// Connects to the store at an address, and serves it on `listener` if there is one.
    pub(super) fn open(
        host: &str,
        port: u16,
        listener: Option<TcpListener>,
        timeout: Duration,
    ) -> Result<Store, String> {
        let host = c_string(host)?;
        let mut store = ptr::null_mut();
        // From here on, the server closes the socket.
        let listen_fd = listener.map_or(-1, IntoRawFd::into_raw_fd);
        // SAFETY: `host` is NUL-terminated and outlives the call. `store` is written before it
        // returns null.
        check(unsafe {
            mnist_gloo_store_open(
                host.as_ptr(),
                port,
                listen_fd,
                milliseconds(timeout),
                &mut store,
            )
        })?;
        Ok(Store(store))
    }

    /// Sets a key.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let (key, value) = (c_string(key)?, c_string(value)?);
        // SAFETY: the store is open until it is dropped. Both strings are NUL-terminated and
        // outlive the call.
        check(unsafe { mnist_gloo_store_set(self.0, key.as_ptr(), value.as_ptr()) })
    }

    /// Returns the value of a key, if it is set.
    pub(super) fn get(&self, key: &str) -> Result<Option<String>, String> {
        let key = c_string(key)?;
        let mut value = ptr::null_mut();
        // SAFETY: as in `set`; `value` is written before the call returns null.
        check(unsafe { mnist_gloo_store_get(self.0, key.as_ptr(), &mut value) })?;
        Ok(take_text(value))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the pointer came from mnist_gloo_store_open and is closed once.
        unsafe { mnist_gloo_store_close(self.0) }
    }
}

/// The address on which a rank accepts its peers' connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Address(String),
    Interface(String),
}

/// What this rank sends to one peer and receives from it.
pub(super) struct Transfer<'a> {
    pub(super) peer: usize,
    pub(super) send: Option<&'a Tensor>,
    pub(super) receive: Option<&'a mut Tensor>,
}

/// A failed exchange, and the peer that it was waiting for.
#[derive(Debug)]
pub(super) struct ExchangeFailure {
    pub(super) peer: Option<usize>,
    pub(super) reason: String,
}

impl ExchangeFailure {
    fn local(reason: impl Into<String>) -> Self {
        ExchangeFailure {
            peer: None,
            reason: reason.into(),
        }
    }
}

/// A ProcessGroupGloo: connections to every other rank.
#[derive(Debug)]
pub(super) struct Group(*mut RawGroup);

// SAFETY: a ProcessGroupGloo is not bound to a thread. A Group has one owner and is not Sync, so
// its methods are called from one thread at a time.
unsafe impl Send for Group {}

impl Group {
    /// Connects to every other rank. Keys in the store begin with `prefix`.
    pub(super) fn open(
        store: &Store,
        prefix: &str,
        rank: usize,
        world_size: usize,
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<Group, String> {
        let prefix = c_string(prefix)?;
        let (name, is_interface) = match endpoint {
            Endpoint::Address(address) => (c_string(address)?, false),
            Endpoint::Interface(interface) => (c_string(interface)?, true),
        };
        let (rank, world_size) = (number(rank)?, number(world_size)?);
        let mut group = ptr::null_mut();
        // SAFETY: the store is open, and the group holds its own reference to it. The strings are
        // NUL-terminated and outlive the call. `group` is written before the call returns null.
        check(unsafe {
            mnist_gloo_group_open(
                store.0,
                prefix.as_ptr(),
                rank,
                world_size,
                name.as_ptr(),
                is_interface,
                milliseconds(timeout),
                &mut group,
            )
        })?;
        Ok(Group(group))
    }

    /// Sends and receives all transfers and returns when all have completed. Empty tensors are not
    /// sent.
    ///
    /// The sizes must be those that the peers expect. After an error the group must be dropped.
    pub(super) fn exchange(
        &self,
        transfers: &mut [Transfer<'_>],
        tag: u32,
        timeout: Duration,
    ) -> Result<(), ExchangeFailure> {
        let mut raw = Vec::with_capacity(transfers.len());
        for transfer in transfers {
            let fits = |tensor: &Tensor| tensor.device() == Device::Cpu && tensor.is_contiguous();
            if !transfer.send.is_none_or(fits) || !transfer.receive.as_deref().is_none_or(fits) {
                return Err(ExchangeFailure::local(
                    "only contiguous tensors on the CPU can be exchanged",
                ));
            }
            raw.push(RawTransfer {
                peer: number(transfer.peer).map_err(ExchangeFailure::local)?,
                send: transfer
                    .send
                    .filter(|tensor| tensor.numel() > 0)
                    .map_or(ptr::null(), Tensor::as_ptr),
                receive: transfer
                    .receive
                    .as_deref_mut()
                    .filter(|tensor| tensor.numel() > 0)
                    .map_or(ptr::null_mut(), Tensor::as_mut_ptr),
            });
        }
        let mut peer = -1;
        // SAFETY: the group is open until it is dropped. `raw` is an array of `raw.len()` transfers
        // whose tensors are borrowed for longer than the call. The bridge holds its own references
        // to what it still needs after a timeout. `peer` is written before the call returns.
        let failed = unsafe {
            mnist_gloo_exchange(
                self.0,
                raw.as_ptr(),
                raw.len(),
                tag,
                milliseconds(timeout),
                &mut peer,
            )
        };
        check(failed).map_err(|reason| ExchangeFailure {
            peer: usize::try_from(peer).ok(),
            reason,
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the pointer came from mnist_gloo_group_open and is closed once.
        unsafe { mnist_gloo_group_close(self.0) }
    }
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} contains a zero byte"))
}

fn number(value: usize) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("{value} is more ranks than Gloo can count"))
}

fn milliseconds(timeout: Duration) -> i64 {
    // 0 would select c10d's own default.
    i64::try_from(timeout.as_millis()).map_or(i64::from(i32::MAX), |milliseconds| {
        milliseconds.clamp(1, i64::from(i32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_zero_which_would_mean_thirty_minutes() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2000);
        assert_eq!(milliseconds(Duration::MAX), i64::from(i32::MAX));
    }

    #[test]
    fn text_with_a_zero_byte_is_an_error() {
        assert!(c_string("a\0b").unwrap_err().contains("zero byte"));
    }
}
