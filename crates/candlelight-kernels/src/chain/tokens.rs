//! The tokens that go through a transformer block, and where its heads lie in them.

use super::Maps;
use super::blocks::add;
use crate::{Element, Matrix};

/// How many tokens of each image go into a block, and how many are asked for behind it: the first ones.
#[derive(Clone, Copy)]
pub(super) struct Tokens {
    images: usize,
    pub all: usize,
    pub asked: usize,
    size: usize,
    heads: usize,
}

/// One head of one image.
#[derive(Clone, Copy)]
pub(super) struct Head {
    tokens: Tokens,
    image: usize,
    head: usize,
}

/// Whose columns of a head are meant.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Of the tokens that are asked for: what stands there alone.
    Asked,
    /// Of all tokens' keys and values, the keys.
    Key,
    /// The values.
    Value,
}

impl Tokens {
    pub fn new(from: Maps, to: Maps, heads: usize) -> Self {
        Self { images: from.images, all: from.height, asked: to.height, size: from.channels, heads }
    }

    /// Features of all tokens.
    pub fn features(self) -> usize {
        self.images * self.all * self.size
    }

    /// Features of those that are asked for.
    pub fn features_asked(self) -> usize {
        self.images * self.asked * self.size
    }

    /// Attention probabilities.
    pub fn probabilities(self) -> usize {
        self.images * self.heads * self.asked * self.all
    }

    /// Features of a head.
    pub fn depth(self) -> usize {
        self.size / self.heads
    }

    /// The heads of all images.
    pub fn heads(self) -> impl Iterator<Item = Head> {
        let head = move |index| Head { tokens: self, image: index / self.heads, head: index % self.heads };
        (0..self.images * self.heads).map(head)
    }

    /// Copies those of `x` that are asked for.
    pub fn gather<T: Copy>(self, x: &[T], out: &mut [T]) {
        let asked = self.asked * self.size;
        let images = x.chunks_exact(self.all * self.size).zip(out.chunks_exact_mut(asked));
        images.for_each(|(x, out)| out.copy_from_slice(&x[..asked]));
    }

    /// Adds `part`, of those that are asked for, to all.
    pub fn scatter<T: Element>(self, part: &[T], sum: &mut [T]) {
        let asked = self.asked * self.size;
        let images = sum.chunks_exact_mut(self.all * self.size).zip(part.chunks_exact(asked));
        images.for_each(|(sum, part)| add(&mut sum[..asked], part));
    }
}

impl Head {
    /// The first column of the head, the length of a row, and the first row of the image.
    fn place(&self, part: Part) -> (usize, usize, usize) {
        let Tokens { all, asked, size, .. } = self.tokens;
        let own = self.head * self.tokens.depth();
        match part {
            Part::Asked => (own, size, self.image * asked),
            Part::Key => (own, 2 * size, self.image * all),
            Part::Value => (size + own, 2 * size, self.image * all),
        }
    }

    /// Its tokens in `rows`, where they lie.
    pub fn view<'a, T>(&self, rows: &'a [T], part: Part) -> Matrix<'a, T> {
        let (column, width, first) = self.place(part);
        let Tokens { all, asked, .. } = self.tokens;
        let count = if let Part::Asked = part { asked } else { all };
        let rows = Matrix::new(rows, rows.len() / width, width);
        rows.part(first..first + count, column..column + self.tokens.depth())
    }

    pub fn scatter<T: Copy>(&self, x: &[T], part: Part, rows: &mut [T]) {
        let (column, width, first) = self.place(part);
        let depth = self.tokens.depth();
        let image = rows.chunks_exact_mut(width).skip(first);
        image.zip(x.chunks_exact(depth)).for_each(|(row, x)| row[column..][..depth].copy_from_slice(x));
    }
}
