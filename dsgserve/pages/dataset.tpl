% # One dataset on the landing page; level: of its heading.
% entry = item.entry
<li>
<h{{level}}><bdi dir="auto">{{entry.name}}</bdi></h{{level}}>
% if entry.description:
<p dir="auto">{{entry.description}}</p>
% end
% if entry.permission:
<p class="soft">Your permission: <strong>{{entry.permission}}</strong>\\
% if item.accept:
, once you <a href="{{item.accept}}">accept the terms</a>\\
% end
</p>
% else:
<p><a href="{{item.accept}}" aria-label="Read and accept the terms of {{entry.name}}">Read and accept the terms</a></p>
% end
% if entry.versions:
<p class="soft">Versions: \\
% for number, version in enumerate(entry.versions):
{{", " if number else ""}}<bdi dir="auto">{{version}}</bdi>\\
% end
{{" and " + str(entry.more_versions) + " more" if entry.more_versions else ""}}</p>
% end
% for source in item.sources:
<p>\\
% if source.version:
<span class="soft">Source of <bdi dir="auto">{{source.version}}</bdi>:</span>
% else:
<span class="soft">Source:</span>
% end
<code class="copy" dir="ltr">{{source.url}}</code>
% if source.link:
<a href="{{source.link}}" rel="noopener noreferrer"
 aria-label="Open in Neuroglancer: {{entry.name}}{{", version " + source.version if source.version else ""}}">Open in
Neuroglancer</a>
% end
</p>
% end
% if entry.more_places:
<p class="soft">And {{entry.more_places}} more {{"source" if entry.more_places == 1 else "sources"}}.</p>
% end
</li>
