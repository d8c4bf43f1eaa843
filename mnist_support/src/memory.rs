//! How much memory there is.

use std::{fs, sync::OnceLock};

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The memory in bytes that this process may use: the machine's, or its cgroup's if that is less.
pub(crate) fn total() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let system = system();
        let limit = system.cgroup_limits().map(|limits| limits.total_memory);
        let total = system.total_memory();
        limit
            .filter(|&limit| limit > 0)
            .map_or(total, |limit| limit.min(total))
    })
}

/// How much of it is left in bytes, if other programs take no more than now.
pub(crate) fn available() -> u64 {
    let system = system();
    let of_machine = system.available_memory();
    let limits = system
        .cgroup_limits()
        .filter(|limits| limits.total_memory > 0);
    limits.map_or(of_machine, |limits| limits.free_memory.min(of_machine))
}

/// A text that processes have in common if they share this memory.
pub(crate) fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!(
        "{} {}",
        boot.trim(),
        System::host_name().unwrap_or_default()
    )
}

fn system() -> System {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(memory)
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_as_much_as_the_kernel_says() {
        let info = std::fs::read_to_string("/proc/meminfo").unwrap();
        let line = info.lines().find(|line| line.starts_with("MemTotal:"));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        let machine = 1024 * kilobytes.parse::<u64>().unwrap();
        let total = super::total();
        assert!(total > 0 && total <= machine, "{total} of {machine}");
        let available = super::available();
        assert!(
            available > 0 && available <= total,
            "{available} of {total}"
        );
    }
}
