% # Documents by their names.
<ul>
% for one in links:
<li><a href="{{one["url"]}}"><bdi dir="auto">{{one["name"]}}</bdi></a>
% include("concerns.tpl", concerns=one["concerns"])
</li>
% end
</ul>
% if more:
<p class="soft">And {{more}} more, once these are accepted.</p>
% end
