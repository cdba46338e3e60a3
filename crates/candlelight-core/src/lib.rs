//! Explain the predictions of models written on candle: layers with right gradients, taps and methods.
