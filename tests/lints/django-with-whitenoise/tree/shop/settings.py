import os
SECRET_KEY = os.environ["SHOP_SECRET_KEY"]
STATIC_URL = "static/"
STATIC_ROOT = "staticfiles"
