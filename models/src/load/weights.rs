//! Tensors out of safetensors bytes, each checked before anything is made of it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use safetensors::{Dtype, SafeTensors};

use crate::nearest::nearest;
use crate::{Error, Result};

/// The bytes of one safetensors file.
pub(crate) struct Shard {
    /// What messages call it.
    pub file: String,
    /// Where it was read, if it was.
    pub path: Option<PathBuf>,
    /// All of the file.
    pub bytes: Vec<u8>,
}

/// Where a tensor lies.
struct Entry {
    shard: usize,
    bytes: Range<usize>,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// All shards of a model. As a backend of a `VarBuilder` it keeps the typed error of what went wrong first.
pub(super) struct Weights {
    shards: Vec<Shard>,
    entries: HashMap<String, Entry>,
    problem: Mutex<Option<Error>>,
}

impl Weights {
    pub fn parse(shards: Vec<Shard>) -> Result<Self> {
        let mut entries = HashMap::new();
        for (index, shard) in shards.iter().enumerate() {
            entries.extend(shard.entries(index)?);
        }
        Ok(Self { shards, entries, problem: Mutex::new(None) })
    }

    /// The typed form of an error that came through a `VarBuilder`.
    pub fn explain(&self, error: candle_core::Error) -> Error {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.take().unwrap_or(Error::Candle(error))
    }

    fn report(&self, error: Error) -> candle_core::Error {
        let message = candle_core::Error::Msg(error.to_string());
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.get_or_insert(error);
        message
    }

    fn tensor(&self, name: &str, shape: Option<&[usize]>) -> Result<Tensor> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        if let Some(expected) = shape.filter(|&expected| expected != entry.shape) {
            let (name, expected, found) = (name.to_string(), expected.to_vec(), entry.shape.clone());
            return Err(Error::TensorShape { name, expected, found });
        }
        let bytes = &self.shards[entry.shard].bytes[entry.bytes.clone()];
        let dtype = float(entry.dtype).ok_or_else(|| Error::TensorType {
            name: name.to_string(),
            found: format!("{:?}", entry.dtype),
        })?;
        if let Some((index, value)) = first_not_finite(bytes, dtype) {
            return Err(Error::NotFinite { name: name.to_string(), value, index });
        }
        Ok(Tensor::from_raw_buffer(bytes, dtype, &entry.shape, &Device::Cpu)?)
    }

    fn missing(&self, name: &str) -> Error {
        let names = self.entries.keys().map(String::as_str);
        Error::MissingTensor { name: name.to_string(), nearest: nearest(name, names) }
    }
}

impl Shard {
    /// The tensors of the file, which is shard number `index`.
    fn entries(&self, index: usize) -> Result<Vec<(String, Entry)>> {
        let corrupt = |error: safetensors::SafeTensorError| Error::CorruptWeights {
            file: self.file.clone(),
            reason: error.to_string(),
        };
        let (header, metadata) = SafeTensors::read_metadata(&self.bytes).map_err(corrupt)?;
        let start = header + size_of::<u64>();
        let entry = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
            let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
            (name, Entry { shard: index, bytes, dtype: info.dtype, shape: info.shape.clone() })
        };
        Ok(metadata.tensors().into_iter().map(entry).collect())
    }
}

impl SimpleBackend for &Weights {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.tensor(name, Some(s.dims())).map_err(|error| self.report(error))?;
        tensor.to_dtype(dtype)?.to_device(dev)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.tensor(name, None).map_err(|error| self.report(error))?;
        tensor.to_dtype(dtype)?.to_device(dev)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }
}

fn float(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// The first NaN or infinity, with its place.
fn first_not_finite(bytes: &[u8], dtype: DType) -> Option<(usize, f64)> {
    match dtype {
        DType::F64 => scan(bytes, f64::from_le_bytes),
        DType::F32 => scan(bytes, |b| f32::from_le_bytes(b).into()),
        DType::F16 => scan(bytes, |b| half(u16::from_le_bytes(b), 0x7c00)),
        _ => scan(bytes, |b| half(u16::from_le_bytes(b), 0x7f80)),
    }
}

fn scan<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Option<(usize, f64)> {
    let (words, _) = bytes.as_chunks::<N>();
    words.iter().map(|&word| value(word)).enumerate().find(|(_, value)| !value.is_finite())
}

/// NaN and infinities of a 16-bit float whose exponent lies under the mask; 0 for every other value.
fn half(bits: u16, exponent: u16) -> f64 {
    match (bits & exponent == exponent, bits & !exponent) {
        (false, _) => 0.0,
        (true, 0) => f64::INFINITY,
        (true, 0x8000) => f64::NEG_INFINITY,
        (true, _) => f64::NAN,
    }
}
