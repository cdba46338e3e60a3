//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  candlelight explain                                 a made-up scene, every method, into candlelight-out/
  candlelight explain cat.jpg --model microsoft/resnet-18 --method grad-cam,integrated-gradients
  candlelight explain cat.jpg --model ./my-vit --target tabby --device cuda
  candlelight layers --model bundled-vit
  candlelight explain cat.jpg --report                with a page for the browser
  candlelight serve                                   that page for images that a browser uploads
  candlelight compare                                 methods beside each other and beside chance, by numbers
  candlelight score                                   what the bundled models reach, measured here";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  candlelight explain                                 a made-up scene with a known answer
  candlelight explain --seed 11 --model bundled-vit   another scene, another model
  candlelight explain cat.jpg dog.jpg --model microsoft/resnet-18 --method grad-cam --target tabby
  candlelight explain cat.jpg --model ./my-resnet --method grad-cam --layer 'resnet.encoder.stages.*'
  candlelight explain --model bundled-vit --method raw-attention --layer vit.encoder.layer.2.attention.attention --head 1
  candlelight explain --method integrated-gradients --baseline blur:8 --until 0.01
  candlelight explain cat.jpg --model microsoft/resnet-18 --contrast 'tiger cat' --report
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
  record.json            everything needed to repeat the run
  report.html            with --report, all of it on one page for the browser";

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
#[cfg(feature = "serve")]
const SERVE_EXAMPLES: &str = "\
Examples:
  candlelight serve                                   the bundled models, on http://127.0.0.1:7878
  candlelight serve --model microsoft/resnet-18,bundled-vit
  candlelight serve --bind 0.0.0.0:8080 --host lab.example   for everybody who reaches this machine
  curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' 'http://127.0.0.1:7878/explain?method=grad-cam'";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  candlelight completions bash > ~/.local/share/bash-completion/completions/candlelight
  candlelight completions zsh > ~/.zfunc/_candlelight
  candlelight completions fish > ~/.config/fish/completions/candlelight.fish";

const LAYERS_EXAMPLES: &str = "\
Examples:
  candlelight layers --model bundled-vit
  candlelight layers --model ./my-resnet --rules epsilon-plus   the rule that each layer gets
  candlelight layers --json | jq '.[].name'";

const METHODS_EXAMPLES: &str = "\
Examples:
  candlelight methods
  candlelight methods --json | jq -r '.[] | select(.family == \"Path\").name'";

const MODELS_EXAMPLES: &str = "\
Examples:
  candlelight models
  candlelight models --json | jq -r '.[0].labels[]'";

const CHECK_EXAMPLES: &str = "\
Examples:
  candlelight check                                   a bundled model at a scene
  candlelight check cat.jpg --model ./my-vit";

const SCENE_EXAMPLES: &str = "\
Examples:
  candlelight scene --seed 11
  candlelight scene --pair --out two-objects";

const CRITERIA_EXAMPLES: &str = "\
Examples:
  candlelight criteria
  candlelight criteria --json";

const SCORE_EXAMPLES: &str = "\
Examples:
  candlelight score
  candlelight score --scenes 50 --path-scenes 20 --accuracy-scenes 200 --json   a quick look";

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
    #[command(after_help = METHODS_EXAMPLES)]
    Methods(Json),
    /// Says which models can be explained
    #[command(after_help = MODELS_EXAMPLES)]
    Models(Json),
    /// Checks that a model's gradients are its derivatives
    Check(Check),
    /// Draws a scene with its ground truth
    Scene(Scene),
    /// Measures how fourteen methods share out effects that are known
    #[command(after_help = CRITERIA_EXAMPLES)]
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
#[command(after_help = LAYERS_EXAMPLES)]
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
#[command(after_help = CHECK_EXAMPLES)]
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
#[command(after_help = SCENE_EXAMPLES)]
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

const COMPARE_EXAMPLES: &str = "\
Examples:
  candlelight compare                                 20 scenes with a known answer
  candlelight compare --scenes 100 --methods grad-cam,lrp,rise --metrics pointing-game,road
  candlelight compare photos/*.jpg --model microsoft/resnet-18 --metrics insertion,deletion --json

Reading the table:
  mean [95 %]      over the images, and between which values it lies (bootstrap, BCa)
  beside random    better or worse than a map at random where the difference image by image says so
  =                not told from the method of the best mean by these images

Files, in DIR:
  compare.json     the table
  compare.csv      a line for every image
  compare.png      the curves of metrics that have some, also as .svg";

#[derive(Args)]
#[command(after_help = COMPARE_EXAMPLES)]
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
    /// The first scene, and the seed of every random number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Prints the table as JSON
    #[arg(long)]
    pub json: bool,
}

const DISTILL_EXAMPLES: &str = "\
Examples:
  candlelight distill                                 500 scenes, into candlelight-out/
  candlelight distill --images 20                     a first look; asked for more later, it goes on from there
  candlelight distill --model bundled-vit --json

Files, in DIR:
  distill.png, .svg      the curves with their intervals
  distill.csv, .json     the same as numbers
  distill.jsonl          what is measured already: an interrupted run goes on from here";

#[derive(Args)]
#[command(after_help = DISTILL_EXAMPLES)]
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

const ROAR_EXAMPLES: &str = "\
Examples:
  candlelight roar --method grad-cam,integrated-gradients
  candlelight roar --train 200 --epochs 2 --runs 1 --shares 0.5      a first look, in a minute

Every method and the random control train shares x runs models, each on `--train` scenes `--epochs` times over. Weights
start from an unseeded generator: a repeated run gives other accuracies, and the intervals say how far they are apart.";

#[derive(Args)]
#[command(after_help = ROAR_EXAMPLES)]
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
#[command(after_help = SCORE_EXAMPLES)]
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
#[command(after_help = SERVE_EXAMPLES)]
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
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
