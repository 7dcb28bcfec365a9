% # The landing page of somebody who is signed in.
% rebase("base.tpl", title=title, nonce=nonce)
<p>You are <strong>{{who}}</strong> <span class="soft">({{label}})</span>.
% if admin:
You are an administrator.
% end
% if read_only:
Your account is read-only.
% end
</p>
% if pending:
<h2>Terms that wait for you</h2>
<ul>
% for one in pending:
<li><a href="{{one["path"]}}?next=/">{{one["name"]}}</a>
<span class="soft">for {{one["dataset"]}}{{", version " + one["version"] if one["version"] else ""}}</span></li>
% end
</ul>
% end
<h2>Your datasets</h2>
% if datasets:
<table>
<thead><tr><th scope="col">Dataset</th><th scope="col">You may</th></tr></thead>
<tbody>
% for one in datasets:
<tr><td>{{one["name"]}}</td><td>{{one["level"]}}{{", once you have accepted its terms" if one["held_back"] else ""}}</td></tr>
% end
</tbody>
</table>
% else:
<p>None yet. Ask whoever looks after the data for access.</p>
% end
% if groups:
<h2>Your groups</h2>
<p>{{", ".join(groups)}}</p>
% end
<form method="post" action="/logout"><button class="plain">Sign out</button></form>
