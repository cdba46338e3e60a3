//! Measures of explanations: attribution in, number out.
