//! Methods that take parts of the input away.

use crate::methods::settings::{
    feature_ablation, hsic_indices, kernel_shap, lime, occlusion, partition_shap, rise, shapley_values,
    sobol_indices,
};
use crate::methods::{Family, Method};

/// Every one of them.
pub(super) const PERTURBATION: &[Method] = &[
    Method {
        name: "occlusion",
        title: "Occlusion",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/1311.2901",
        build: |settings| Ok(Box::new(occlusion(settings)?)),
    },
    Method {
        name: "feature-ablation",
        title: "Feature Ablation",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/1311.2901",
        build: |settings| Ok(Box::new(feature_ablation(settings)?)),
    },
    Method {
        name: "rise",
        title: "RISE",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/1806.07421",
        build: |settings| Ok(Box::new(rise(settings)?)),
    },
    Method {
        name: "lime",
        title: "LIME",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/1602.04938",
        build: |settings| Ok(Box::new(lime(settings)?)),
    },
    Method {
        name: "kernel-shap",
        title: "KernelSHAP",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/1705.07874",
        build: |settings| Ok(Box::new(kernel_shap(settings)?)),
    },
    Method {
        name: "shapley-values",
        title: "Shapley Values",
        family: Family::Perturbation,
        paper: "https://jmlr.org/papers/v11/strumbelj10a.html",
        build: |settings| Ok(Box::new(shapley_values(settings)?)),
    },
    Method {
        name: "partition-shap",
        title: "Partition SHAP",
        family: Family::Perturbation,
        paper: "https://doi.org/10.1007/978-3-642-45494-3_7",
        build: |settings| Ok(Box::new(partition_shap(settings)?)),
    },
    Method {
        name: "sobol-indices",
        title: "Sobol' Indices",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/2111.04138",
        build: |settings| Ok(Box::new(sobol_indices(settings)?)),
    },
    Method {
        name: "hsic-indices",
        title: "HSIC Indices",
        family: Family::Perturbation,
        paper: "https://arxiv.org/abs/2206.06219",
        build: |settings| Ok(Box::new(hsic_indices(settings)?)),
    },
];
