/** A caller gives up a connection before it sends anything: it refuses the server, or has no identity to show. */
export class ConnectionRefused extends Error {
  override readonly name = 'ConnectionRefused';
}
