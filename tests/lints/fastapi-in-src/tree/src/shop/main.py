from .setup import make
app = make()
