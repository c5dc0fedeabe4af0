"""AlphaFold 3 without perfkit's trial: stock settings, one pass per line of input.

`trial_overhead.py` uses it as its baseline. It predicts ubiquitin in its stock bucket, or, if the
first argument is a number of residues, a synthetic protein that fills its bucket. It prints the
seconds of each pass.
"""

import sys
import time

import haiku as hk
import jax

from perfkit.models.af3.featurise import featurise
from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input, synthetic_protein
from perfkit.models.af3.model import SEQUENCE_SEED
from perfkit.models.af3.package import import_model
from perfkit.models.af3.weights import synthetic_parameters_mapped

if len(sys.argv) > 1:
    bucket = int(sys.argv[1])
    fold_input = synthetic_protein(bucket, SEQUENCE_SEED)
else:
    bucket, fold_input = 128, load_fold_input(UBIQUITIN)[0]
model = import_model()
config = model.Model.Config()
config.global_config.flash_attention_implementation = "xla"
config.num_recycles, config.return_embeddings = 0, True
config.heads.diffusion.eval.steps, config.heads.diffusion.eval.num_samples = 4, 1
forward = hk.transform(lambda batch: model.Model(config)(batch))
batch = jax.device_put(dict(featurise(fold_input, bucket)[0].numeric))
key = jax.random.PRNGKey(1)
parameters = synthetic_parameters_mapped(
    lambda: jax.eval_shape(forward.init, key, batch), float32=False
)
del parameters["__meta__"]
parameters = jax.device_put(parameters)
compiled = jax.jit(forward.apply).lower(parameters, key, batch).compile()
jax.block_until_ready(compiled(parameters, key, batch))
print("ready", flush=True)
for _ in sys.stdin:
    begin_s = time.perf_counter()
    jax.block_until_ready(compiled(parameters, key, batch))
    print(time.perf_counter() - begin_s, flush=True)
