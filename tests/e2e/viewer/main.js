// The viewer as its own page starts it; the test reads its state through `viewer`.
import 'neuroglancer/unstable/util/polyfills.js';
import 'neuroglancer/unstable/layer/enabled_frontend_modules.js';
import 'neuroglancer/unstable/datasource/enabled_frontend_modules.js';
import 'neuroglancer/unstable/kvstore/enabled_frontend_modules.js';
import { setupDefaultViewer } from 'neuroglancer/unstable/ui/default_viewer_setup.js';

window.viewer = setupDefaultViewer();
