//! Explain the predictions of models written on Hugging Face candle, and measure whether the explanations can be trusted.
