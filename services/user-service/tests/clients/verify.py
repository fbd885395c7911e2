"""PyJWT as its manual has it: verifies the tokens that come, one a line."""

import sys

import jwt

keys_url, issuer, audience = sys.argv[1:]
keys = jwt.PyJWKClient(keys_url)
keys.get_signing_keys()
print("ready", flush=True)
for line in sys.stdin:
    token = line.strip()
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)
        print("accepted", claims["sub"], flush=True)
    except jwt.PyJWTError as error:
        print("refused", error, flush=True)
