/** The start of the page. */
import { render } from 'preact';
import { Frame } from './frame.tsx';

const place = document.getElementById('page')!;
place.replaceChildren();
render(<Frame />, place);
