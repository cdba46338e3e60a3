//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  candlelight explain                                 a made-up scene, every method, into candlelight-out/
  candlelight explain cat.jpg --model microsoft/resnet-18 --method grad-cam,integrated-gradients
  candlelight explain cat.jpg --model ./my-vit --target tabby --device cuda
  candlelight layers --model bundled-vit
  candlelight score                                   what the bundled models reach, measured here";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  candlelight explain                                 a made-up scene with a known answer
  candlelight explain --seed 11 --model bundled-vit   another scene, another model
  candlelight explain cat.jpg dog.jpg --model microsoft/resnet-18 --method grad-cam --target tabby
  candlelight explain cat.jpg --model ./my-resnet --method grad-cam --layer 'resnet.encoder.stages.*'
  candlelight explain --model bundled-vit --method raw-attention --layer vit.encoder.layer.2.attention.attention --head 1
  candlelight explain --method integrated-gradients --baseline blur:8 --until 0.01
  candlelight explain --json | jq '.methods[] | {name, seconds}'

Reading the table:
  residual         how far the map's sum is from f(x) - f(x'), relative to that difference
  input, biases    what rules brought of the score to the input, and what biases absorbed; the rest of it went
                   elsewhere: to stabilisers, and to a class token and positions in a transformer
  standard error   what sampling left: the error's norm relative to the map's; more steps make it smaller
  hit, 40 % inside the map's maximum lies in the object, and so much of its positive part

Files, in DIR (with several images in a folder of DIR for each):
  <image>.png            the image beside all maps
  <image>.<method>.png   one map over the image
  maps.safetensors       the raw maps, one tensor per method
  record.json            everything needed to repeat the run";

const CRITERIA_EXAMPLES: &str = "\
Examples:
  candlelight criteria
  candlelight criteria --json | jq '.[] | select(.allocates_completely) | .method'

What the columns mean, how they are measured and why methods fail: docs/criteria.md";

#[cfg(feature = "evaluate")]
const EVALUATE_EXAMPLES: &str = "\
Examples:
  candlelight evaluate photos/ --model microsoft/resnet-18 --methods grad-cam,saliency --metrics deletion,insertion
  candlelight evaluate manifest.jsonl --methods grad-cam --metrics pointing-game --out hits.parquet
  candlelight evaluate photos/ --methods grad-cam --metrics road --shard 0/4      the first of four parts
  candlelight merge results.*-of-4.parquet --out results.parquet

A data set is a folder `class/image.png`, or a manifest: lines of JSON such as
{\"image\": \"a.png\", \"target\": \"cat\", \"mask\": \"a-mask.png\"}, or CSV with these columns. Without `--shard` the part is read
from SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, or from JOB_COMPLETION_INDEX and JOB_COMPLETIONS.

Every image that is done is written into a journal beside the results. Whenever the command ends, the same command goes on
from there; all parts merged are the results of one run, byte for byte.";

/// Explains predictions of image models, and says how far the explanation can be trusted
#[derive(Parser)]
#[command(name = "candlelight", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Explains why a model sees in an image what it sees
    Explain(Box<Explain>),
    /// Lists the layers of a model in the order in which they run
    Layers(Layers),
    /// Lists the methods of explaining
    Methods(Json),
    /// Says which models can be explained
    Models(Json),
    /// Checks that a model's gradients are its derivatives
    Check(Check),
    /// Draws a scene with its ground truth
    Scene(Scene),
    /// Measures how fourteen methods share out effects that are known
    #[command(after_help = CRITERIA_EXAMPLES)]
    Criteria(Json),
    /// Measures methods by metrics over a whole folder of images, and goes on after it was stopped
    #[cfg(feature = "evaluate")]
    Evaluate(Box<Evaluate>),
    /// Joins what the shards of an evaluation wrote
    #[cfg(feature = "evaluate")]
    Merge(Merge),
    /// Measures accuracy, pointing game and completeness of the bundled models
    Score(Score),
}

#[derive(Args)]
pub struct ModelArgs {
    /// `bundled-resnet`, `bundled-vit`, a folder with config.json and safetensors, or a hub id
    #[arg(short, long, default_value = "bundled-resnet", value_name = "MODEL")]
    pub model: String,
    /// Where the model runs
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    Cpu,
    Cuda,
    Metal,
}

#[derive(Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// Images to explain; without any, a scene is made from the seed
    #[arg(value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Methods, separated by commas, or `all` (see `candlelight methods`)
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "NAME")]
    pub method: Vec<String>,
    /// What is explained: `top`, the number of a class, or its label
    #[arg(short, long, default_value = "top", value_name = "CLASS")]
    pub target: String,
    /// Layers, separated by commas: names or patterns (`layer4.*`) of class activation maps, one name for methods of a
    /// layer, of a neuron and of one layer's attention; found if not given (see `candlelight layers`)
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub layer: Vec<String>,
    /// The head of raw and gradient-weighted attention, counted from 0; the mean of all if not given
    #[arg(long, value_name = "N")]
    pub head: Option<usize>,
    /// Steps of a path, samples of a sampler; each paper's own number if not given
    #[arg(long, visible_alias = "samples", value_name = "N")]
    pub steps: Option<usize>,
    /// Residual of a path or standard error of a sampler at which it stops by itself, such as 0.01
    #[arg(long, value_name = "SHARE")]
    pub until: Option<f64>,
    /// What paths start from, and what stands for what is absent: `zero`, `black`, `white`, `mean`, `max-distance`, `blur[:PIXELS]`, `uniform`,
    /// `gaussian[:SHARE]`, `training`; each method's own if not given
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// What methods of perturbation take away together: `auto`, `values`, `pixels`, `grid:ROWS[xCOLUMNS]`,
    /// `patches:HEIGHT[xWIDTH]`, `slic[:SEGMENTS]`, `quickshift`, `felzenszwalb`, or the `tokens` of a transformer; each method's own if not given
    #[arg(long, value_name = "NAME")]
    pub features: Option<String>,
    /// The window of `occlusion` in pixels, or height,width; an eighth of the image if not given
    #[arg(long, value_delimiter = ',', value_name = "PIXELS")]
    pub window: Option<Vec<usize>>,
    /// How far the window of `occlusion` moves; half of it if not given
    #[arg(long, value_delimiter = ',', value_name = "PIXELS")]
    pub stride: Option<Vec<usize>>,
    /// The rules of `lrp`, such as `epsilon-plus`, `epsilon-gamma-box` or `attn-lrp`; asked for alone, a method of rules
    /// prints its ledger
    #[arg(long, value_name = "NAME")]
    pub rules: Option<String>,
    /// Where pictures, maps and the record are written
    #[arg(short, long, default_value = "candlelight-out", value_name = "DIR")]
    pub out: PathBuf,
    /// The seed of the scene and of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Prints the record, one line of JSON for each image, in place of the table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Layers {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Lists the layers that take rules, each with its rule in this composite
    #[arg(long, value_name = "NAME")]
    pub rules: Option<String>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Json {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Check {
    /// The image at which the gradients are checked; without one, a scene
    #[arg(value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// The seed of the scene
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

#[derive(Args)]
pub struct Scene {
    /// The seed of the scene
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Two objects of different classes
    #[arg(long)]
    pub pair: bool,
    /// Where the scene and the masks are written
    #[arg(short, long, default_value = "candlelight-out", value_name = "DIR")]
    pub out: PathBuf,
}

#[cfg(feature = "evaluate")]
#[derive(Args)]
#[command(after_help = EVALUATE_EXAMPLES)]
pub struct Evaluate {
    /// A folder `class/image.png`, one with a manifest, or the manifest itself
    #[arg(value_name = "DATASET")]
    pub dataset: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Methods, separated by commas (see `candlelight methods`)
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAME")]
    pub methods: Vec<String>,
    /// Metrics, separated by commas, such as `deletion` or `pointing-game`
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAME")]
    pub metrics: Vec<String>,
    /// What is explained in every image: `top`, the number of a class, or its label; what the data set says if not given
    #[arg(short, long, value_name = "CLASS")]
    pub target: Option<String>,
    /// Where the results are written; of a shard with its number before the ending
    #[arg(short, long, default_value = "results.parquet", value_name = "FILE")]
    pub out: PathBuf,
    /// The part of the images that is meant, counted from 0, such as `0/4`
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// The seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

#[cfg(feature = "evaluate")]
#[derive(Args)]
pub struct Merge {
    /// The results of all shards, in any order
    #[arg(required = true, value_name = "FILE")]
    pub shards: Vec<PathBuf>,
    /// Where the results of all are written
    #[arg(short, long, default_value = "results.parquet", value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct Score {
    /// Scenes on which Grad-CAM is measured
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub scenes: u64,
    /// Scenes on which Integrated Gradients is measured
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub path_scenes: u64,
    /// Unseen scenes on which the accuracy is measured
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub accuracy_scenes: u64,
    /// Where the models run
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
