//! Benchmarks of candlelight.
