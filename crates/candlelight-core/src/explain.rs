//! What every method is.

use crate::{Attribution, Model, Query, Result};

/// A method that explains predictions: a plain struct with `Default` (the paper's setting) and consuming builders.
pub trait Explain: Send + Sync {
    /// The method's name as in the registry; composed methods name their parts.
    fn name(&self) -> String;

    /// Explains every row of the query.
    ///
    /// # Errors
    /// [`Error`](crate::Error) names what is wrong with the query, the model or the method's settings.
    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution>;

    /// [`attribute`](Self::attribute) for anything that makes a query: a tensor, a tensor with a class.
    ///
    /// # Errors
    /// As [`attribute`](Self::attribute).
    fn explain(&self, model: &dyn Model, query: impl Into<Query>) -> Result<Attribution>
    where
        Self: Sized,
    {
        self.attribute(model, &query.into())
    }
}

impl<E: Explain + ?Sized> Explain for Box<E> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn attribute(&self, model: &dyn Model, query: &Query) -> Result<Attribution> {
        (**self).attribute(model, query)
    }
}
