//! What this process has used of the machine.

/// The most memory that was resident at once, in MB (10⁶ bytes); `None` where the system does not say.
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib * 1024.0 / 1e5).round() / 10.0)
}

/// Seconds of processors, user and system, over all threads; `None` where the system does not say. Unlike wall time it is
/// nearly the same on a machine that others use.
pub fn cpu_s() -> Option<f64> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the kernel's own account, which is in hundredths and some ticks late.
    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_is_of_all_threads_and_of_those_that_have_ended() {
        use rustix::time::{ClockId, clock_gettime};

        let work = || {
            let own = || clock_gettime(ClockId::ThreadCPUTime);
            while own().tv_sec == 0 && own().tv_nsec < 300_000_000 {}
        };
        std::thread::spawn(work).join().unwrap();
        let kernel = || {
            let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
            // Fields 14 and 15, counted from after the name in brackets.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0
        };
        let (before, counted, after) = (cpu_s().unwrap(), kernel(), cpu_s().unwrap());
        assert!(before >= 0.3 && before <= counted + 0.1 && counted <= after + 0.02, "{before} {counted} {after}");
        let thread = clock_gettime(ClockId::ThreadCPUTime);
        assert!(after > thread.tv_sec as f64 + thread.tv_nsec as f64 / 1e9 + 0.25);
    }
}
