"""How good an object is: against a truth or another one, and against the frames it explains.

NumPy arrays in, plain numbers out. Nothing is imported here, so that the light modules stay light:
`evaluate`, `register` and `image` load scikit-image, `likelihood` and `likeness` Keras.
"""
