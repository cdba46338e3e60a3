//! Images in, pictures out: decoding, preprocessing, colour maps and overlays for candlelight.
