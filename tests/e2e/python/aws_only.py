"""A gateway that knows AWS's dialect only: passes everything on to the real one, but for the offer of ours.

TLS on both sides, with the real gateway's own certificate. Prints `listening on PORT`, and `no offer` for each stream.
Environment: TOWLINE_UPSTREAM (host:port), TOWLINE_CERTIFICATE, TOWLINE_KEY, TOWLINE_CA.
"""
import asyncio
import os
import ssl

HOST, PORT = os.environ["TOWLINE_UPSTREAM"].rsplit(":", 1)
OFFER = b"sec-websocket-protocol:"


async def without_offer(reader, first):
    """The rest of a request's head, without the line that offers our dialect."""
    while b"\r\n\r\n" not in first:
        more = await reader.read(65536)
        if not more:
            return first
        first += more
    head, rest = first.split(b"\r\n\r\n", 1)
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(OFFER)]
    if len(kept) < len(lines):
        print("no offer", flush=True)
    return b"\r\n".join(kept) + b"\r\n\r\n" + rest


async def pump(reader, writer, edit):
    try:
        while data := await reader.read(65536):
            if edit and data.startswith(b"GET "):
                data = await without_offer(reader, data)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def serve(reader, writer):
    context = ssl.create_default_context(cafile=os.environ["TOWLINE_CA"])
    try:
        up_reader, up_writer = await asyncio.open_connection(HOST, int(PORT), ssl=context)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, up_writer, True), pump(up_reader, writer, False))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TOWLINE_CERTIFICATE"], os.environ["TOWLINE_KEY"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
