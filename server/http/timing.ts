/** The time of each request, by route, method and status: all of them names that the server knows. */
import type { FastifyInstance } from 'fastify';
import type { Metrics, Observer } from '../metrics.ts';

export function requestDurations(app: FastifyInstance, metrics: Metrics): void {
  // Found by the route's own config object: making a label object for each request costs more than the rest.
  const observers = new WeakMap<object, Map<number, Observer>>();
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
      observer = metrics.httpRequest(route, name, reply.statusCode);
      byStatus.set(reply.statusCode, observer);
    }
    observer.observe(reply.elapsedTime / 1000);
    done();
  });
}
