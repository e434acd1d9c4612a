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

    #[test]
    #[cfg(target_os = "linux")]
    fn work_costs_processor_time_and_sleep_does_not() {
        let before = cpu_s().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
        let mut sum = 0u64;
        while cpu_s().unwrap() < before + 0.02 {
            sum = std::hint::black_box(sum + 1);
        }
        // The kernel's own account, in hundredths: fields 14 and 15 count from after the name in brackets.
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
        let own = cpu_s().unwrap();
        assert!((own - ticks / 100.0).abs() < 0.05 + 0.1 * own, "{own} s, {ticks} ticks");
    }
}
