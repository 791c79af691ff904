"""What imports a framework, besides `gradients`: device, compilation, determinism, precision.

The functions here hide the few calls that differ between frameworks; none changes a result.
"""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from pinn.backend.selection import DEVICES, loaded_backend, loading, select
from pinn.errors import BackendError

# -- device ------------------------------------------------------------------------------


def select_device(device: str = "auto") -> str:
    """Take a device and say in one line which; imports the selected backend's framework.

    `auto` takes the accelerator when there is one. Where a framework can be told only once, this
    must come before Keras is imported.

    Args:
        device: auto, cpu, gpu (any accelerator), cuda, mps or tpu.

    Raises:
        BackendError: unknown, not there, broken, or too late; there is no fallback.
    """
    if device not in DEVICES:
        raise BackendError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    choice = select()
    backend = choice.backend
    take = {"jax": _jax_device, "torch": _torch_device, "tensorflow": _tensorflow_device}[backend]
    with loading(choice):
        found = take(device)
    if device == "auto" and found.startswith("cpu"):
        found += ": no accelerator found"
    return f"{backend} on {found}"


def _missing(device: str, backend: str, there: str) -> BackendError:
    return BackendError(
        f"device {device} was asked for, but {backend} sees only {there}; install a build of "
        f"{backend} for it, or use --device auto"
    )


def _jax_device(device: str) -> str:
    import jax

    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        jax.config.update("jax_platforms", "cpu")  # without effect once devices are in use
    platforms = sorted({d.platform for d in jax.devices()})
    if device == "auto":
        chosen = jax.devices()
    else:
        try:
            chosen = jax.devices(device)
        except RuntimeError:
            raise _missing(device, "jax", ", ".join(platforms)) from None
    if chosen[0].platform != jax.default_backend():
        jax.config.update("jax_default_device", chosen[0])
    return _line(chosen[0].platform, str(chosen[0].device_kind), len(chosen))


def _torch_device(device: str) -> str:
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    accelerators = [name for name, available in there.items() if available]
    chosen = device
    if device == "auto":
        chosen = os.environ.get("KERAS_TORCH_DEVICE") or (accelerators or ["cpu"])[0]
    elif device == "gpu":
        chosen = accelerators[0] if accelerators else device
    kind = chosen.split(":")[0]
    if device != "auto" and kind not in ("cpu", *accelerators):
        raise _missing(device, "torch", ", ".join(["cpu", *accelerators]))
    if loaded_backend() is not None:
        used = str(loaded_keras().ops.zeros(()).device)
        if used.split(":")[0] != kind:
            raise BackendError(
                f"device {chosen} was asked for, but Keras already uses {used}; choose the device "
                "before the first use of pinn, or start a new process"
            )
    os.environ["KERAS_TORCH_DEVICE"] = chosen
    if kind == "cuda":
        return _line("cuda", torch.cuda.get_device_name(chosen), torch.cuda.device_count())
    return kind


def _tensorflow_device(device: str) -> str:
    import tensorflow as tf

    there = {kind: tf.config.list_physical_devices(kind) for kind in ("TPU", "GPU", "CPU")}
    names = [kind.lower() for kind, found in there.items() if found]
    wanted = {"auto": names[0], "cuda": "gpu"}.get(device, device)
    if wanted not in names:
        raise _missing(device, "tensorflow", ", ".join(names))
    if wanted == "cpu":
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:
            raise BackendError(
                "device cpu was asked for, but TensorFlow already uses the GPU; choose the device "
                "before the first use of pinn, or start a new process"
            ) from None
        return "cpu"
    found = there[wanted.upper()]
    name = tf.config.experimental.get_device_details(found[0]).get("device_name", "")
    return _line(wanted, name, len(found))


def _line(kind: str, name: str, count: int) -> str:
    if kind == "cpu":
        return "cpu"
    return f"{kind} {name}".strip() + (f" (the first of {count})" if count > 1 else "")


# -- running -----------------------------------------------------------------------------


def compile_inference(model: Any) -> Callable[[Any], Any]:
    """Compile a built Keras model or layer for prediction, NumPy in and NumPy out.

    Weights are read at each call, so that the function stays right when training goes on. Every
    new combination of shapes is compiled anew; keep the batch size.

    Args:
        model: built; called as `model(inputs)`, in inference mode.

    Returns:
        A function of the model's inputs (an array, or a dictionary of arrays; float64 becomes
        float32) to its outputs, in the same structure, as NumPy arrays (perhaps read-only).
    """
    keras = loaded_keras()
    takes_training = "training" in inspect.signature(model.call).parameters
    mode = {"training": False} if takes_training else {}
    compilers = {"jax": _compile_jax, "torch": _compile_torch, "tensorflow": _compile_tensorflow}
    run = compilers[keras.config.backend()](model, mode)

    def predict(inputs: Any) -> Any:
        outputs = run(keras.tree.map_structure(_narrow, inputs))
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return predict


def compile_function(
    function: Callable[..., Any], *, reuse_first: bool = True
) -> Callable[..., Any]:
    """Compile a pure function of tensors, or nested structures of them.

    Its results stay on the device and are given to the next call as they are; NumPy arrays and
    numbers are taken too. No gradients are recorded.

    Args:
        function: on `keras.ops`; every argument is data, nothing is static.
        reuse_first: the first argument is used up: its memory may serve the result, so it must not
            be used again.
    """
    keras = loaded_keras()
    match keras.config.backend():
        case "jax":
            import jax

            return jax.jit(function, donate_argnums=0 if reuse_first else ())
        case "torch":
            import torch

            def without_gradients(*inputs: Any) -> Any:
                with torch.no_grad():
                    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
                    return function(*tensors)

            return without_gradients
        case _:
            import tensorflow as tf

            compiled = tf.function(function, autograph=False)

            def with_tensors(*inputs: Any) -> Any:
                return compiled(*keras.tree.map_structure(tf.convert_to_tensor, inputs))

            return with_tensors


def _narrow(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _compile_jax(model: Any, mode: dict[str, bool]) -> Callable[[Any], Any]:
    import jax

    @jax.jit
    def run(trainable: Any, fixed: Any, inputs: Any) -> Any:
        return model.stateless_call(trainable, fixed, inputs, **mode)[0]

    def call(inputs: Any) -> Any:
        trainable = [v.value for v in model.trainable_variables]
        fixed = [v.value for v in model.non_trainable_variables]
        return run(trainable, fixed, inputs)

    return call


def _compile_torch(model: Any, mode: dict[str, bool]) -> Callable[[Any], Any]:
    import torch

    keras = loaded_keras()

    def call(inputs: Any) -> Any:
        with torch.no_grad():
            tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
            return model(tensors, **mode)

    return call


def _compile_tensorflow(model: Any, mode: dict[str, bool]) -> Callable[[Any], Any]:
    import tensorflow as tf

    keras = loaded_keras()
    run = tf.function(lambda inputs: model(inputs, **mode), autograph=False)

    def call(inputs: Any) -> Any:
        return run(keras.tree.map_structure(tf.convert_to_tensor, inputs))

    return call


def deterministic(seed: int | None = None) -> None:
    """Make this process bitwise repeatable on its backend and machine, at some cost in speed.

    On a GPU with JAX this must come before the first computation.

    Args:
        seed: for the random numbers of Keras, NumPy and Python, where given.
    """
    if seed is not None:
        seed_everything(seed)
    match loaded_keras().config.backend():
        case "jax":
            flag = "--xla_gpu_deterministic_ops=true"
            flags = os.environ.get("XLA_FLAGS", "")
            if flag not in flags:
                os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()
        case "torch":
            import torch

            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            torch.backends.cudnn.benchmark = False
        case _:
            import tensorflow as tf

            if seed is None:
                tf.random.set_seed(0)  # op determinism refuses random operations without a seed
            tf.config.experimental.enable_op_determinism()


def seed_everything(seed: int) -> None:
    """Seed the random numbers of Python, NumPy, Keras and the loaded framework.

    As `keras.utils.set_random_seed`, which besides imports TensorFlow wherever it is installed:
    about 8 CPU seconds and 600 MB for nothing on the other backends.
    """
    keras = loaded_keras()
    backend = keras.config.backend()
    try:
        from keras.src.backend.common import global_state
    except ImportError:  # a Keras that keeps its state elsewhere: right, only slower
        global_state = None
    if backend == "tensorflow" or global_state is None:
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what a user's layers may draw from)
    global_state.set_global_attribute("global_random_seed", seed)
    global_state.set_global_attribute("global_seed_generator", None)  # made anew from the seed
    if backend == "torch":
        import torch

        torch.manual_seed(seed)


def full_precision() -> None:
    """Float32 products in full float32: no TF32 or bfloat16 passes on accelerators."""
    match loaded_keras().config.backend():
        case "jax":
            import jax

            jax.config.update("jax_default_matmul_precision", "highest")
        case "torch":
            import torch

            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        case _:
            import tensorflow as tf

            tf.config.experimental.enable_tensor_float_32_execution(False)


def trains_in_bfloat16() -> bool:
    """Whether the device in use can train convolutions in bfloat16.

    PyTorch fails in their gradient on a processor without instructions for that type. What counts
    is where Keras computes, and not what else the machine has.
    """
    keras = loaded_keras()
    if keras.config.backend() != "torch" or keras.ops.zeros(()).device.type != "cpu":
        return True
    import torch

    if not torch.backends.mkldnn.is_available():  # a build may be without it
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def ordered_updates() -> None:
    """See to it that a training step reads every weight before it changes it.

    TensorFlow 2.21's graph optimiser may drop the order between reading a weight and assigning it
    (its dependency optimisation removes control edges): the forward pass of a compiled Keras step
    then uses some weights of after the step, now and then, with a wrong loss and wrong gradients,
    also where operations are to be deterministic. Without that optimisation the order is kept.
    Must come before the step is compiled; other backends need nothing.
    """
    if loaded_keras().config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"dependency_optimization": False})


def loaded_keras() -> Any:
    """Keras, on the backend that was selected.

    Raises:
        BackendError: none is installed, or it is broken.
    """
    choice = select()
    with loading(choice):
        import keras

    return keras
