"""The physics as pure functions on `keras.ops`: float32, no state, no framework imports.

A complex field is a pair `(re, im)` of real tensors of one shape. Axes are always
`(batch, group, mode, y, x)`; offsets and shifts are `[dy, dx]` in pixels. Image sizes are static,
the batch size may be unknown. All arguments are tensors of the chosen backend (or symbolic Keras
tensors); on hardware with reduced-precision matrix products (TF32) the caller has to ask its
backend for full float32, since interpolation here is a matrix product.
"""
