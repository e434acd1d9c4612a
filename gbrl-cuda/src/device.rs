//! A device, its stream, and memory on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr, DriverError,
};
use cudarc::driver::{ValidAsZeroBits, result, sys};
use gbrl_core::error::{Error, Result};

use crate::image;

/// Devices that the driver shows.
///
/// # Errors
/// Class `Device` where there is no driver, or it fails.
pub fn n_devices() -> Result<usize> {
    check_driver("cuda")?;
    let count = CudaContext::device_count().map_err(|error| failure("cuda", "counting devices", error))?;
    Ok(count.max(0) as usize)
}

/// What the driver calls device number `ordinal`.
///
/// # Errors
/// Class `Device` where there is no driver or no such device.
pub fn device_name(ordinal: usize) -> Result<String> {
    let name = checked(ordinal)?;
    let called = || result::device::get_name(result::device::get(ordinal as i32)?);
    called().map_err(|error| failure(&name, "asking for its name", error))
}

/// What we call device number `ordinal`, if it is there.
fn checked(ordinal: usize) -> Result<String> {
    let name = format!("cuda:{ordinal}");
    check_driver(&name)?;
    match n_devices()? {
        n if ordinal < n => Ok(name),
        n => Err(Error::device(name, "opening it", format!("the driver shows {n} devices"))),
    }
}

/// What has been asked of a device so far.
#[derive(Debug, Default)]
pub struct Counters {
    launches: AtomicUsize,
    waits: AtomicUsize,
}

impl Counters {
    /// Kernels launched.
    pub fn launches(&self) -> usize {
        self.launches.load(Ordering::Relaxed)
    }

    /// Times that the host waited for the device.
    pub fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    pub(crate) fn launched(&self) {
        self.launches.fetch_add(1, Ordering::Relaxed);
    }
}

/// One GPU: everything runs on one stream of it, in order.
pub struct Device {
    /// "cuda:0" and so on.
    pub name: String,
    pub stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    pub counters: Arc<Counters>,
}

impl Device {
    /// Opens device number `ordinal`.
    ///
    /// # Errors
    /// Class `Device` where there is no driver or no such device, or our kernels cannot be loaded there.
    pub fn open(ordinal: usize) -> Result<Self> {
        let name = checked(ordinal)?;
        let context = CudaContext::new(ordinal).map_err(|error| failure(&name, "opening it", error))?;
        // SAFETY: all work goes to one stream, so no event has to order anything.
        #[allow(unsafe_code)]
        unsafe {
            context.disable_event_tracking();
        }
        let stream = context.new_stream().map_err(|error| failure(&name, "making a stream", error))?;
        let module = image::load(&context).map_err(|reason| Error::device(&name, "loading kernels", reason))?;
        Ok(Device { name, stream, module, counters: Arc::default() })
    }

    /// A kernel by name.
    pub fn kernel(&self, name: &'static str) -> Result<CudaFunction> {
        self.module.load_function(name).map_err(|error| failure(&self.name, name, error))
    }

    /// What a failed call of the driver becomes.
    pub fn failure(&self, operation: &'static str, error: DriverError) -> Error {
        failure(&self.name, operation, error)
    }

    /// Free and all memory, in bytes.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.stream.context().mem_get_info().map_err(|error| self.failure("asking for its memory", error))
    }

    /// Waits until everything that was asked for is done.
    pub fn wait(&self) -> Result<()> {
        self.counters.waits.fetch_add(1, Ordering::Relaxed);
        self.stream.synchronize().map_err(|error| self.failure("waiting", error))
    }
}

/// Whether there is a driver to call: the calls themselves would panic.
fn check_driver(name: &str) -> Result<()> {
    // SAFETY: loading the driver's library runs its initialisers, as every CUDA program does.
    #[allow(unsafe_code)]
    let present = unsafe { sys::is_culib_present() };
    if present {
        return Ok(());
    }
    let reason = "no driver library found (libcuda.so.1, nvcuda.dll): install NVIDIA's driver, or use the CPU";
    Err(Error::device(name, "loading the driver", reason))
}

fn failure(name: &str, operation: &'static str, error: DriverError) -> Error {
    let what = error.error_name().ok().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let why = error.error_string().ok().map_or(String::new(), |why| why.to_string_lossy().into_owned());
    Error::device(name, operation, format!("{what} ({why})"))
}

/// Memory on the device that grows and is kept: for numbers that change from step to step.
pub struct Buffer<T> {
    slice: Option<CudaSlice<T>>,
    len: usize,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer { slice: None, len: 0 }
    }
}

impl<T: DeviceRepr + ValidAsZeroBits> Buffer<T> {
    /// Numbers that there is room for.
    pub fn room(&self) -> usize {
        self.slice.as_ref().map_or(0, CudaSlice::len)
    }

    /// Makes room for `len` numbers; what was there is kept when `keep` says so, up to the old length.
    pub fn resize(&mut self, device: &Device, len: usize, keep: bool) -> Result<()> {
        if self.room() < len.max(1) {
            let len = len.max(1);
            if !keep {
                // Old and new never need to be there together.
                self.slice = None;
                self.len = 0;
            }
            let roomy = len.next_power_of_two();
            // Room to grow where there is memory for it, else what is needed.
            let mut bigger = match device.stream.alloc_zeros::<T>(roomy) {
                Err(_) if roomy > len => device.stream.alloc_zeros::<T>(len),
                allocated => allocated,
            }
            .map_err(|error| no_room(device, len * size_of::<T>(), error))?;
            if let (true, Some(old)) = (keep && self.len > 0, &self.slice) {
                let copied = device.stream.memcpy_dtod(&old.slice(..self.len), &mut bigger.slice_mut(..self.len));
                copied.map_err(|error| device.failure("copying", error))?;
            }
            self.slice = Some(bigger);
        }
        self.len = len;
        Ok(())
    }

    /// Takes over `numbers`.
    pub fn fill(&mut self, device: &Device, numbers: &[T]) -> Result<()> {
        self.resize(device, numbers.len(), false)?;
        if numbers.is_empty() {
            return Ok(());
        }
        let to = &mut self.all_mut().slice_mut(..numbers.len());
        device.stream.memcpy_htod(numbers, to).map_err(|error| device.failure("sending", error))
    }

    /// Takes the numbers from `len` on out of use.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends `numbers` to those in use.
    pub fn append(&mut self, device: &Device, numbers: &[T]) -> Result<()> {
        let first = self.len;
        self.resize(device, first + numbers.len(), true)?;
        if numbers.is_empty() {
            return Ok(());
        }
        let to = &mut self.all_mut().slice_mut(first..first + numbers.len());
        let sent = device.stream.memcpy_htod(numbers, to).map_err(|error| device.failure("sending", error));
        if sent.is_err() {
            self.len = first;
        }
        sent
    }

    /// Takes over the device's other numbers, of which there must be as many.
    pub fn copy(&mut self, device: &Device, other: &Buffer<T>) -> Result<()> {
        assert_eq!(self.len, other.len);
        let (from, n) = (other.all().slice(..other.len), self.len);
        let to = &mut self.all_mut().slice_mut(..n);
        device.stream.memcpy_dtod(&from, to).map_err(|error| device.failure("copying", error))
    }

    /// Sets numbers `from..to` to zero.
    pub fn clear(&mut self, device: &Device, from: usize, to: usize) -> Result<()> {
        if from == to {
            return Ok(());
        }
        let mut part = self.all_mut().slice_mut(from..to);
        device.stream.memset_zeros(&mut part).map_err(|error| device.failure("clearing", error))
    }

    /// Fetches numbers `from..from + out.len()`, and waits for them.
    pub fn fetch(&self, device: &Device, from: usize, out: &mut [T]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let part = self.all().slice(from..from + out.len());
        device.stream.memcpy_dtoh(&part, out).map_err(|error| device.failure("fetching", error))?;
        device.wait()
    }

    /// Where number `at` lies, for arguments that hold addresses; 0 where nothing was ever sent.
    pub fn address(&self, device: &Device, at: usize) -> u64 {
        assert!(at <= self.len);
        self.slice.as_ref().map_or(0, |slice| slice.device_ptr(&device.stream).0 + (at * size_of::<T>()) as u64)
    }

    /// The device's numbers.
    pub fn all(&self) -> &CudaSlice<T> {
        self.slice.as_ref().expect("a buffer is resized before it is used")
    }

    /// The device's numbers, to be written.
    pub fn all_mut(&mut self) -> &mut CudaSlice<T> {
        self.slice.as_mut().expect("a buffer is resized before it is used")
    }

    /// Numbers in use.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// The error of an allocation of `bytes`, with what there is.
fn no_room(device: &Device, bytes: usize, error: DriverError) -> Error {
    let there_is = device
        .memory()
        .map_or(String::new(), |(free, total)| format!("; {} MiB are free of {} MiB", free >> 20, total >> 20));
    let name = error.error_name().ok().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    Error::device(&device.name, "allocating memory", format!("{name} for {bytes} bytes{there_is}"))
}
