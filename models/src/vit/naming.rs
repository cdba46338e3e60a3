//! The two vocabularies of tensor names that ViT weights come in.

/// Whose tensor names the weights of a ViT have; taps are called by them, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `vit.encoder.layer.0.attention.attention.query`: `ViTForImageClassification`, as on the hub.
    HuggingFace,
    /// `blocks.0.attn.qkv`: timm, with queries, keys and values in one tensor.
    Timm,
}

/// Names of the parts that stand outside the blocks.
pub(super) struct Names {
    pub patches: &'static str,
    pub class_token: &'static str,
    pub positions: &'static str,
    pub embeddings: &'static str,
    pub blocks: &'static str,
    pub norm: &'static str,
    pub head: &'static str,
}

/// Names of the parts of one block, below the block's own name.
pub(super) struct BlockNames {
    pub norm1: &'static str,
    pub qkv: Qkv,
    pub probabilities: &'static str,
    pub projection: &'static str,
    pub sum1: &'static str,
    pub norm2: &'static str,
    pub fc1: &'static str,
    pub act: &'static str,
    pub fc2: &'static str,
    pub sum2: &'static str,
}

/// Where queries, keys and values are, and what their layers are called.
pub(super) struct Qkv {
    pub storage: Storage,
    pub layers: [&'static str; 3],
}

/// How the weights of queries, keys and values are stored.
#[derive(Clone, Copy)]
pub(super) enum Storage {
    /// Each under the name of its layer.
    Split,
    /// All in one tensor of this name, rows in the order q, k, v.
    Fused(&'static str),
}

impl Naming {
    pub(super) fn names(self) -> Names {
        match self {
            Self::HuggingFace => HUGGING_FACE,
            Self::Timm => TIMM,
        }
    }

    pub(super) fn block(self) -> BlockNames {
        match self {
            Self::HuggingFace => HUGGING_FACE_BLOCK,
            Self::Timm => TIMM_BLOCK,
        }
    }
}

const HUGGING_FACE: Names = Names {
    patches: "vit.embeddings.patch_embeddings.projection",
    class_token: "vit.embeddings.cls_token",
    positions: "vit.embeddings.position_embeddings",
    embeddings: "vit.embeddings",
    blocks: "vit.encoder.layer",
    norm: "vit.layernorm",
    head: "classifier",
};

const TIMM: Names = Names {
    patches: "patch_embed.proj",
    class_token: "cls_token",
    positions: "pos_embed",
    embeddings: "pos_drop",
    blocks: "blocks",
    norm: "norm",
    head: "head",
};

const HUGGING_FACE_BLOCK: BlockNames = BlockNames {
    norm1: "layernorm_before",
    qkv: Qkv {
        storage: Storage::Split,
        layers: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    },
    probabilities: "attention.attention",
    projection: "attention.output.dense",
    sum1: "attention.add",
    norm2: "layernorm_after",
    fc1: "intermediate.dense",
    act: "intermediate.intermediate_act_fn",
    fc2: "output.dense",
    sum2: "output.add",
};

const TIMM_BLOCK: BlockNames = BlockNames {
    norm1: "norm1",
    qkv: Qkv { storage: Storage::Fused("attn.qkv"), layers: ["attn.q", "attn.k", "attn.v"] },
    probabilities: "attn",
    projection: "attn.proj",
    sum1: "attn.add",
    norm2: "norm2",
    fc1: "mlp.fc1",
    act: "mlp.act",
    fc2: "mlp.fc2",
    sum2: "mlp.add",
};
