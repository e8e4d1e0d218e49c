"""A small, strict S3 for tests: objects in memory, and no request without a right signature (AWS Signature Version 4).

    with S3() as s3:
        Stack(..., **s3.environment)
        s3.objects          {"/files/7/0": b"..."}
        s3.refused          what was turned away, and why
        s3.stop(), s3.start()       it is away, and back at the same port
"""
import hashlib
import hmac
import re
import secrets
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

REGION, BUCKET = "sa-east-1", "files"


class S3:
    def __init__(self):
        self.objects, self.refused = {}, []
        self.access, self.secret = "AK" + secrets.token_hex(8).upper(), secrets.token_hex(20)
        self.port, self.server = 0, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self): s3.handle(self)
            def do_GET(self): s3.handle(self)
            def do_DELETE(self): s3.handle(self)
            def do_POST(self): s3.handle(self)
            def log_message(self, *_): pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def environment(self):
        return {"HEALTHMED_FILES_STORE": "s3", "HEALTHMED_S3_ENDPOINT": f"http://127.0.0.1:{self.port}",
                "HEALTHMED_S3_REGION": REGION, "HEALTHMED_S3_BUCKET": BUCKET, "HEALTHMED_S3_ACCESS_KEY": self.access,
                "HEALTHMED_S3_SECRET_KEY": self.secret}

    # ---- one request ----

    def handle(self, request):
        away = self.server is None              # a connection that was kept open does not outlive the server
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if away:
            request.close_connection = True
            return
        if why := self.wrong(request, body):
            self.refused.append(why)
            status, answer = 403, b""
        elif not re.fullmatch(rf"/{BUCKET}/\d+/\d+", request.path):
            status, answer = 404, b""
        elif request.command == "PUT":
            self.objects[request.path] = body
            status, answer = 200, b""
        elif request.command == "DELETE":
            self.objects.pop(request.path, None)
            status, answer = 204, b""
        elif request.command == "GET" and request.path in self.objects:
            status, answer = 200, self.objects[request.path]
        else:
            status, answer = 404, b"<Error><Code>NoSuchKey</Code></Error>"
        request.send_response(status)
        if status != 204:
            request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def wrong(self, request, body):
        """Why the signature is not right; None when it is."""
        head = request.headers
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, *"
                             r"SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})", head.get("Authorization", ""))
        if not found:
            return f"no signature: {head.get('Authorization')}"
        access, day, region, service, names, signature = found.groups()
        signed, date = names.split(";"), head.get("X-Amz-Date", "")
        if (access, region, service) != (self.access, REGION, "s3"):
            return f"of somebody else: {access} {region} {service}"
        if signed != sorted(signed) or not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed):
            return f"these headers are signed: {names}"
        at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if date[:8] != day or abs(datetime.now(timezone.utc) - at) > timedelta(minutes=15):
            return f"at another time: {date}"
        digest = hashlib.sha256(body).hexdigest()
        if head.get("X-Amz-Content-Sha256") != digest:
            return f"another body than was signed: {head.get('X-Amz-Content-Sha256')}"
        path, _, query = request.path.partition("?")
        canonical = "\n".join([request.command, quote(unquote(path), safe="/-_.~"), query,
                               *(f"{n}:{' '.join((head.get(n) or '').split())}" for n in signed), "", names, digest])
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        right = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return None if hmac.compare_digest(right, signature) else f"signature, of {canonical!r}"
