/** The time of each request, by route, method and status. The server knows all of these names, so they are bounded. */
import type { FastifyInstance } from 'fastify';

interface DurationObserver {
  observe(seconds: number): void;
}

/** @param observerOf called once for each route, method and status; the route is `none` where no route matched */
export function timeRequests(
  app: FastifyInstance,
  observerOf: (route: string, method: string, status: number) => DurationObserver,
): void {
  // Found by the route's own config object: making a label object for each request costs more than the rest.
  const observers = new WeakMap<object, Map<number, DurationObserver>>();
  app.addHook('onResponse', (request, reply, done) => {
    const { config, url, method } = request.routeOptions;
    let byStatus = observers.get(config);
    if (byStatus === undefined) {
      byStatus = new Map();
      observers.set(config, byStatus);
    }
    let observer = byStatus.get(reply.statusCode);
    if (observer === undefined) {
      const [route, name] = url === undefined ? ['none', 'any'] : [url.replace('::', ':'), String(method)];
      observer = observerOf(route, name, reply.statusCode);
      byStatus.set(reply.statusCode, observer);
    }
    observer.observe(reply.elapsedTime / 1000);
    done();
  });
}
