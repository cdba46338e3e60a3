//! What stands below the help of the commands.

pub const ALL: &str = "\
Examples:
  candlelight explain                                 a made-up scene, every method, into candlelight-out/
  candlelight explain cat.jpg --model microsoft/resnet-18 --method grad-cam,integrated-gradients
  candlelight explain cat.jpg --model ./my-vit --target tabby --device cuda
  candlelight layers --model bundled-vit
  candlelight explain cat.jpg --report                with a page for the browser
  candlelight serve                                   that page for images that a browser uploads
  candlelight compare                                 methods beside each other and beside chance, by numbers
  candlelight score                                   what the bundled models reach, measured here";

pub const EXPLAIN: &str = "\
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

pub const CRITERIA: &str = "\
Examples:
  candlelight criteria
  candlelight criteria --json | jq '.[] | select(.allocates_completely) | .method'

What the columns mean, how they are measured and why methods fail: docs/criteria.md";

#[cfg(feature = "evaluate")]
pub const EVALUATE: &str = "\
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

#[cfg(feature = "serve")]
pub const SERVE: &str = "\
Examples:
  candlelight serve                                   the bundled models, on http://127.0.0.1:7878
  candlelight serve --model microsoft/resnet-18,bundled-vit
  candlelight serve --bind 0.0.0.0:8080 --host lab.example   for everybody who reaches this machine
  curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' 'http://127.0.0.1:7878/explain?method=grad-cam'";

pub const COMPLETIONS: &str = "\
Examples:
  candlelight completions bash > ~/.local/share/bash-completion/completions/candlelight
  candlelight completions zsh > ~/.zfunc/_candlelight
  candlelight completions fish > ~/.config/fish/completions/candlelight.fish";

pub const LAYERS: &str = "\
Examples:
  candlelight layers --model bundled-vit
  candlelight layers --model ./my-resnet --rules epsilon-plus   the rule that each layer gets
  candlelight layers --json | jq '.[].name'";

pub const METHODS: &str = "\
Examples:
  candlelight methods
  candlelight methods --json | jq -r '.[] | select(.family == \"Path\").name'";

pub const MODELS: &str = "\
Examples:
  candlelight models
  candlelight models --json | jq -r '.[0].labels[]'";

pub const CHECK: &str = "\
Examples:
  candlelight check                                   a bundled model at a scene
  candlelight check cat.jpg --model ./my-vit";

pub const SCENE: &str = "\
Examples:
  candlelight scene --seed 11
  candlelight scene --pair --out two-objects";

pub const SCORE: &str = "\
Examples:
  candlelight score
  candlelight score --scenes 50 --path-scenes 20 --accuracy-scenes 200 --json   a quick look";

pub const COMPARE: &str = "\
Examples:
  candlelight compare                                 20 scenes with a known answer
  candlelight compare --scenes 100 --methods grad-cam,lrp,rise --metrics pointing-game,road
  candlelight compare photos/*.jpg --model microsoft/resnet-18 --metrics insertion,deletion --json
  candlelight compare --report                        with a page for the browser

Reading the table:
  mean [95 %]      over the images, and between which values it lies (bootstrap, BCa)
  beside random    better or worse than a map at random where the difference image by image says so
  =                not told from the method of the best mean by these images

Files, in DIR:
  compare.json     the table
  compare.csv      a line for every image
  compare.png      the curves of metrics that have some, also as .svg
  compare.html     with --report, all of it and the first maps on one page for the browser";

pub const DISTILL: &str = "\
Examples:
  candlelight distill                                 500 scenes, into candlelight-out/
  candlelight distill --images 20                     a first look; asked for more later, it goes on from there
  candlelight distill --model bundled-vit --json

Files, in DIR:
  distill.png, .svg      the curves with their intervals
  distill.csv, .json     the same as numbers
  distill.jsonl          what is measured already: an interrupted run goes on from here";

pub const ROAR: &str = "\
Examples:
  candlelight roar --method grad-cam,integrated-gradients
  candlelight roar --train 200 --epochs 2 --runs 1 --shares 0.5      a first look, in a minute

Every method and the random control train shares x runs models, each on `--train` scenes `--epochs` times over. Weights
start from an unseeded generator: a repeated run gives other accuracies, and the intervals say how far they are apart.";
