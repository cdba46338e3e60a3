//! Golden and integration tests of candlelight.
