//! The command line.

mod examples;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Explains predictions of image models, and says how far the explanation can be trusted
#[derive(Parser)]
#[command(name = "candlelight", version, after_help = examples::ALL, arg_required_else_help = true)]
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
    #[command(after_help = examples::METHODS)]
    Methods(Json),
    /// Says which models can be explained
    #[command(after_help = examples::MODELS)]
    Models(Json),
    /// Checks that a model's gradients are its derivatives
    Check(Check),
    /// Draws a scene with its ground truth
    Scene(Scene),
    /// Measures how fourteen methods share out effects that are known
    #[command(after_help = examples::CRITERIA)]
    Criteria(Json),
    /// Compares methods by metrics, with intervals and beside a map at random
    Compare(Compare),
    /// Measures which baseline of Integrated Gradients finds what a model looks at
    Distill(Distill),
    /// Measures what can still be learned where methods have removed what they call important
    Roar(Roar),
    /// Measures methods by metrics over a whole folder of images, and goes on after it was stopped
    #[cfg(feature = "evaluate")]
    Evaluate(Box<Evaluate>),
    /// Joins what the shards of an evaluation wrote
    #[cfg(feature = "evaluate")]
    Merge(Merge),
    /// Measures accuracy, pointing game and completeness of the bundled models
    Score(Score),
    /// Explains images that a browser uploads, on a page of this machine
    #[cfg(feature = "serve")]
    Serve(Serve),
    /// Prints a script that completes this program's commands in a shell
    Completions(Completions),
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
#[command(after_help = examples::EXPLAIN)]
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
    /// A second class, explained beside the first: its number or its label
    #[arg(long, value_name = "CLASS")]
    pub contrast: Option<String>,
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
    /// Writes a page for the browser as well, all in one file: `report.html` in DIR, or FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub report: Option<Option<PathBuf>>,
    /// The seed of the scene and of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Prints the record, one line of JSON for each image, in place of the table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = examples::LAYERS)]
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
#[command(after_help = examples::CHECK)]
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
#[command(after_help = examples::SCENE)]
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
#[command(after_help = examples::EVALUATE)]
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
#[command(after_help = examples::COMPARE)]
pub struct Compare {
    /// Images; without any, scenes are made from the seed, and their objects are the ground truth
    #[arg(value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Methods, separated by commas, or `all` (see `candlelight methods`); a map at random stands beside them
    #[arg(
        long,
        visible_alias = "method",
        value_delimiter = ',',
        default_value = "saliency,integrated-gradients,grad-cam",
        value_name = "NAME"
    )]
    pub methods: Vec<String>,
    /// Metrics, separated by commas, or `all`; quick ones if not given
    #[arg(long, visible_alias = "metric", value_delimiter = ',', value_name = "NAME")]
    pub metrics: Vec<String>,
    /// What is explained: `top`, the number of a class, or its label
    #[arg(short, long, default_value = "top", value_name = "CLASS")]
    pub target: String,
    /// Scenes, where no image is given
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub scenes: u64,
    /// Steps of a path, samples of a sampler; each paper's own number if not given
    #[arg(long, visible_alias = "samples", value_name = "N")]
    pub steps: Option<usize>,
    /// Where everything is written
    #[arg(short, long, default_value = "candlelight-out", value_name = "DIR")]
    pub out: PathBuf,
    /// Writes a page for the browser as well, all in one file: `compare.html` in DIR, or FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub report: Option<Option<PathBuf>>,
    /// The first scene, and the seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Prints the table as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = examples::DISTILL)]
pub struct Distill {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Scenes that are explained
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    pub images: u64,
    /// Steps of every path
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub steps: usize,
    /// Draws of every average over baselines
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub samples: usize,
    /// Where everything is written
    #[arg(short, long, default_value = "candlelight-out", value_name = "DIR")]
    pub out: PathBuf,
    /// The seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Prints the numbers as JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = examples::ROAR)]
pub struct Roar {
    /// Methods, separated by commas; a map at random stands beside them
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "saliency,integrated-gradients,grad-cam",
        value_name = "NAME"
    )]
    pub method: Vec<String>,
    /// Shares of the pixels that are replaced, separated by commas, from 0 to 1
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.3,0.5,0.7,0.9", value_name = "SHARE")]
    pub shares: Vec<f64>,
    /// Models that are trained for each method and share
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub runs: usize,
    /// Scenes for training
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    pub train: u64,
    /// Unseen scenes on which the accuracy is measured
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub test: u64,
    /// How often each scene is trained on
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub epochs: usize,
    /// Steps of a path, samples of a sampler; each paper's own number if not given
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Where the models run
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// Where everything is written
    #[arg(short, long, default_value = "candlelight-out", value_name = "DIR")]
    pub out: PathBuf,
    /// The seed of the maps
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = examples::SCORE)]
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

#[cfg(feature = "serve")]
#[derive(Args)]
#[command(after_help = examples::SERVE)]
pub struct Serve {
    /// Models to choose from, separated by commas; see `explain`
    #[arg(short, long, value_delimiter = ',', default_values = candlelight::models::bundled::NAMES, value_name = "MODEL")]
    pub model: Vec<String>,
    /// Where the models run
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// Where the server listens; whoever reaches it may use it
    #[arg(long, default_value = "127.0.0.1:7878", value_name = "ADDRESS:PORT")]
    pub bind: std::net::SocketAddr,
    /// Names that the server may be asked by, beside `localhost` and addresses
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub host: Vec<String>,
    /// The largest image, in MiB
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub megabytes: u16,
    /// The largest image, in millions of pixels
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub megapixels: u16,
    /// How long an image may take to arrive
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub upload_seconds: u64,
    /// How long an explanation may take; what is finished by then is shown
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// How many explanations may wait; whoever comes then is asked to come again
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub queue: u16,
}

#[derive(Args)]
#[command(after_help = examples::COMPLETIONS)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
