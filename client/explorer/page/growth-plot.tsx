/** The plot of a log's growth. A table with the same numbers stands beside it, for those who do not see it. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Growth } from './growth.ts';

const HEIGHT = 200;

export function GrowthPlot({ growth, label }: { readonly growth: Growth; readonly label: string }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const target = place.current!;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(optionsOf(target), [[...growth.times], [...growth.sizes]], target);
    };
    const resize = new ResizeObserver(() => plot?.setSize({ width: target.clientWidth, height: HEIGHT }));
    draw();
    resize.observe(target);
    dark.addEventListener('change', draw);
    return () => {
      dark.removeEventListener('change', draw);
      resize.disconnect();
      plot?.destroy();
    };
  }, [growth]);
  return <div class="plot" ref={place} role="img" aria-label={label} />;
}

function optionsOf(target: HTMLElement): uPlot.Options {
  const style = getComputedStyle(target);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: color('--quiet'), grid: { stroke: color('--line') }, ticks: { stroke: color('--line') } };
  return {
    width: target.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    tzDate: (time) => uPlot.tzDate(new Date(time * 1000), 'UTC'),
    scales: { y: { range: (_, low, high) => [Math.min(low, high - 1), high + 1] } },
    axes: [axis, { ...axis, size: 70 }],
    series: [
      {},
      { stroke: color('--link'), width: 2, points: { show: true, fill: color('--link'), stroke: color('--link') } },
    ],
  };
}
