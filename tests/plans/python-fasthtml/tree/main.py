from fasthtml.common import *

app, rt = fast_app(secret_key="x")
