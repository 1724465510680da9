//! When this boot reached what bootagent waits for. In seconds of the kernel's monotonic clock.

#[derive(Clone, Debug, Default, PartialEq)]
pub struct BootTimes {
    /// The start of the kernel; in a container, of its systemd.
    pub start: f64,
    /// systemd began.
    pub userspace: f64,
    /// `network-online.target`; absent if nothing wanted it.
    pub network: Option<f64>,
    /// All units of the boot had started; absent until then.
    pub finished: Option<f64>,
}
