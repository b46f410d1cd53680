"""A model file in other forms: for Keras, and for ONNX Runtime with a program that uses it."""

from tenfold.runs.export.keras import write_keras
from tenfold.runs.export.onnx import companions, write_onnx

__all__ = ["companions", "write_keras", "write_onnx"]
