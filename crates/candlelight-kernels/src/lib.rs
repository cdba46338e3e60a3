//! CPU kernels of candlelight behind safe functions.
