"""The health check of a container: whether the gateway answers at its internal port.

`healthcheck.py [PATH]` asks /healthz, or what is named, such as /readyz; the port is WAVEGATE__SERVER__INTERNAL_PORT or
9464. Exit code 0 when the answer is 200, else 1, with a sentence on standard error. Invariant: no wait is longer than
two seconds, and it needs Python alone. It must not know what health is.
"""

import http.client
import os
import sys

SECONDS = 2.0
MOST_BYTES = 500


def main() -> int:
    """Asks once."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/healthz"
    port = int(os.environ.get("WAVEGATE__SERVER__INTERNAL_PORT", "9464"))
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        line.request("GET", path)
        answer = line.getresponse()
        said = f"{answer.status} {answer.read(MOST_BYTES).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        said = f"{type(error).__name__}: {error}"
    else:
        if answer.status == http.client.OK:
            return 0
    finally:
        line.close()
    sys.stderr.write(f"{path}: {said}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
