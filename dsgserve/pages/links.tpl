% # Documents by their names.
<ul>
% for link in links:
<li><a href="{{link.url}}"><bdi dir="auto">{{link.name}}</bdi></a>
% include("concerns.tpl", concerns=link.concerns)
</li>
% end
</ul>
% if more:
<p class="soft">{{more}} more will be shown once you accept these.</p>
% end
