"""What JAX computes on."""

from tenfold.core.errors import BackendError
from tenfold.learners.jax_runtime import configure


def devices() -> list[str]:
    """What JAX computes on, each as its platform and kind: `cpu`, or `cuda NVIDIA L4`.

    Raises:
      BackendError: JAX is not there or does not start.
    """
    try:
        configure()
        import jax

        found = [(device.platform, device.device_kind) for device in jax.devices()]
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BackendError("E914", "JAX does not start", reason=reason) from error
    return [platform if kind == platform else f"{platform} {kind}" for platform, kind in found]
