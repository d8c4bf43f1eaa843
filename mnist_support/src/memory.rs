//! How much memory there is.

use std::sync::OnceLock;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The memory in bytes that this process may use: the machine's, or its cgroup's if that is less.
pub(crate) fn total() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(memory);
        let limit = system.cgroup_limits().map(|limits| limits.total_memory);
        let total = system.total_memory();
        limit
            .filter(|&limit| limit > 0)
            .map_or(total, |limit| limit.min(total))
    })
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
    }
}
