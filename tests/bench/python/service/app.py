"""The service that is measured: the packages that such services have, all of them loaded, and no database behind them."""

import os

from dotenv import load_dotenv

load_dotenv()
missing = [name for name in ("DATABASE_URL", "JWT_SECRET") if not os.environ.get(name)]
if missing:
    raise SystemExit(f"not set: {', '.join(missing)}")

from orders import create_app  # noqa: E402: what is imported reads the environment

app = create_app()
